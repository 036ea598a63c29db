# Git: who commits, how, and what is never committed.
{
  config,
  lib,
  user,
  ...
}:
let
  cfg = config.my.git;
in
{
  options.my.git = {
    enable = lib.mkEnableOption "git" // {
      default = true;
    };

    signingKey = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "~/.ssh/id_ed25519.pub";
      description = "The SSH key that signs commits: its public half, or the file it is in.";
    };
  };

  config = lib.mkIf cfg.enable {
    programs.git = {
      enable = true;
      lfs.enable = true;

      # Everything that "git config" knows, by its own names.
      settings = {
        user = { inherit (user) name email; };
        init.defaultBranch = "main";
        pull.rebase = true;
        push.autoSetupRemote = true;
        rebase.autoStash = true;
        merge.conflictStyle = "zdiff3";
        alias = {
          st = "status --short --branch";
          last = "log -1 --stat";
          graph = "log --oneline --graph --decorate --all";
        };
      };

      ignores = [
        "*~"
        ".direnv/"
        "result"
        "result-*"
      ];

      signing = lib.mkIf (cfg.signingKey != null) {
        format = "ssh";
        key = cfg.signingKey;
        signByDefault = true;
      };
    };

    # Readable differences. It is made git's pager only where that is said.
    programs.delta = {
      enable = true;
      enableGitIntegration = true;
      options.navigate = true;
    };
  };
}
