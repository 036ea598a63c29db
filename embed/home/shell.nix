# Bash: history, completion, aliases.
#
# With bash enabled, ~/.bashrc, ~/.profile and ~/.bash_profile are home-manager's; those of the
# distribution are in movein's backups. What belongs to one machine only, and is in no repo,
# goes into ~/.bashrc.local.
{ config, lib, ... }:
let
  cfg = config.my.shell;
in
{
  options.my.shell.enable = lib.mkEnableOption "bash" // {
    default = true;
  };

  config = lib.mkIf cfg.enable {
    programs.bash = {
      enable = true;
      enableCompletion = true;

      historySize = 50000;
      historyFileSize = 200000;
      historyControl = [
        "erasedups"
        "ignorespace"
      ];
      historyIgnore = [
        "ls"
        "exit"
      ];

      # For interactive shells. All shells of home-manager take home.shellAliases.
      initExtra = ''
        [ -r "$HOME/.bashrc.local" ] && . "$HOME/.bashrc.local"
      '';
    };

    home = {
      shellAliases = {
        ll = "ls -alF";
        la = "ls -A";
        ".." = "cd ..";
        hm = "movein apply"; # and "movein plan", "movein status", "movein rollback"
      };
      sessionVariables = {
        EDITOR = lib.mkDefault "nano";
        PAGER = lib.mkDefault "less";
      };
      sessionPath = [ "${config.home.homeDirectory}/.local/bin" ];
    };
  };
}
