# KDE Plasma: how it looks and which keys do what.
#
# Plasma itself is the system's. plasma-manager writes Plasma's own files at each activation; a
# rollback of home-manager alone does not write the old ones back, "movein rollback" does.
# What you set in Plasma's dialogs stays, but for the keys that stand here.
# To see what you have set so far, in this form: nix run github:nix-community/plasma-manager
{ config, lib, ... }:
let
  cfg = config.my.plasma;
in
{
  options.my.plasma.enable = lib.mkEnableOption "settings of KDE Plasma" // {
    default = config.my.desktop;
  };

  config = lib.mkIf cfg.enable {
    programs.plasma = {
      enable = true; # without it all of the rest is ignored, silently
      workspace = {
        lookAndFeel = "org.kde.breezedark.desktop";
        clickItemTo = "select";
      };
      shortcuts.kwin = {
        "Window Maximize" = "Meta+Up";
        "Window Close" = [
          "Alt+F4"
          "Meta+Q"
        ];
      };
      # FILE.GROUP.KEY in ~/.config
      configFile.kdeglobals.General = lib.mkIf config.my.kitty.enable {
        TerminalApplication = "kitty";
        TerminalService = "kitty.desktop";
      };
    };
  };
}
