# Searching code: ripgrep by pattern, semantic-grep (w2vgrep) by meaning.
#
# home-manager has no module for it, and nixpkgs may have no package: then set
# my.semantic-grep.package to one of your own (pkgs.callPackage ./my-package.nix { }).
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.semantic-grep;
in
{
  options.my.semantic-grep = {
    enable = lib.mkEnableOption "code search";
    package = lib.mkOption {
      type = lib.types.nullOr lib.types.package;
      default = pkgs.semantic-grep or null;
      defaultText = "pkgs.semantic-grep, if there is one";
      description = "semantic-grep; null: ripgrep only.";
    };
  };

  config = lib.mkIf cfg.enable {
    programs.ripgrep = {
      enable = true;
      arguments = [ "--smart-case" ];
    };

    home.packages = lib.optional (cfg.package != null) cfg.package;

    # The model is large and no package: it is downloaded by hand, into the data directory.
    xdg.configFile."semantic-grep/config.json" = lib.mkIf (cfg.package != null) {
      text = builtins.toJSON {
        model_path = "${config.xdg.dataHome}/semantic-grep/model.bin";
      };
    };
  };
}
