# Claude Code, the assistant on the command line.
#
# It is not free, so it is named in my.unfree. To use one that npm installed (npm-tools.nix):
#   my.claude-code.package = null;
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.claude-code;
in
{
  options.my.claude-code = {
    enable = lib.mkEnableOption "Claude Code";
    package = lib.mkOption {
      type = lib.types.nullOr lib.types.package;
      default = pkgs.claude-code;
      defaultText = "pkgs.claude-code";
      description = "The program; null: it comes from elsewhere.";
    };
  };

  config = lib.mkIf cfg.enable {
    my.unfree = [ "claude-code" ];

    programs.claude-code = {
      enable = true;
      inherit (cfg) package;

      # There is no "settings" here: Claude Code writes its settings.json itself, and a link into
      # the store would be read-only.

      # ~/.claude/CLAUDE.md: what it is told in every project.
      context = ''
        Make small commits, and say in each why.
      '';
      # ~/.claude/commands/review.md: /review
      commands.review = ''
        Review the staged changes. List what is wrong first, and what could be simpler.
      '';
    };
  };
}
