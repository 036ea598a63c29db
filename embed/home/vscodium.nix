# The editor.
#
# settings.json is a link into the store, and cannot be changed from within VSCodium: what is
# to stay is written here. To try something out, set it for a workspace.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.vscodium;
in
{
  options.my.vscodium.enable = lib.mkEnableOption "VSCodium" // {
    default = config.my.desktop;
  };

  config = lib.mkIf cfg.enable {
    programs.vscodium = {
      enable = true;
      mutableExtensionsDir = true; # others may be added by hand

      profiles.default = {
        enableUpdateCheck = false; # Nix brings updates
        enableExtensionUpdateCheck = false;
        extensions = [
          pkgs.vscode-extensions.jnoortheen.nix-ide
          pkgs.vscode-extensions.golang.go
        ];
        userSettings = {
          "editor.formatOnSave" = true;
          "files.insertFinalNewline" = true;
          "files.trimTrailingWhitespace" = true;
          "telemetry.telemetryLevel" = "off";
          "terminal.integrated.defaultProfile.linux" = "bash";
        };
        keybindings = [
          {
            key = "ctrl+shift+d";
            command = "editor.action.copyLinesDownAction";
          }
        ];
      };
    };
  };
}
