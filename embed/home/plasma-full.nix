# More of KDE Plasma: desktops, panels, the lock screen. Panels are replaced as a whole, so those
# who arrange theirs by hand switch this off: my.plasma-full.enable = false;
{ config, lib, ... }:
let
  cfg = config.my.plasma-full;
in
{
  options.my.plasma-full.enable = lib.mkEnableOption "panels and desktops of KDE Plasma" // {
    default = config.my.plasma.enable;
    defaultText = "my.plasma.enable";
  };

  config = lib.mkIf cfg.enable {
    programs.plasma = {
      kwin.virtualDesktops = {
        number = 4;
        rows = 1;
      };
      panels = [
        {
          location = "bottom";
          height = 40;
          widgets = [
            "org.kde.plasma.kickoff"
            "org.kde.plasma.pager"
            "org.kde.plasma.icontasks"
            "org.kde.plasma.marginsseparator"
            "org.kde.plasma.systemtray"
            "org.kde.plasma.digitalclock"
          ];
        }
      ];
      kscreenlocker = {
        autoLock = true;
        timeout = 15; # minutes
      };
    };
  };
}
