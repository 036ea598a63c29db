# My spaces, on all devices of mine.
#
# A device is known by its ID (syncthing --device-id). An ID is no secret: two devices sync only
# if each knows the other's.
{ config, lib, ... }:
let
  cfg = config.my.syncthing;
in
{
  options.my.syncthing = {
    enable = lib.mkEnableOption "Syncthing" // {
      default = config.my.desktop;
    };

    devices = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example.phone = "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD-EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH";
      description = "IDs of the devices that share the folder, by name.";
    };

    folder = lib.mkOption {
      type = lib.types.str;
      default = "${config.home.homeDirectory}/MySpaces";
      defaultText = "~/MySpaces";
      description = "The folder that is shared.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.syncthing = {
      enable = true;
      # What was paired or shared in the GUI stays. With true it would be deleted.
      overrideDevices = false;
      overrideFolders = false;
      settings = {
        options.urAccepted = -1; # no usage reports
        devices = lib.mapAttrs (_: id: { inherit id; }) cfg.devices;
        folders.myspaces = {
          path = cfg.folder;
          devices = lib.attrNames cfg.devices;
          versioning = {
            type = "staggered";
            params.maxAge = "2592000"; # in seconds: 30 days
          };
        };
      };
    };
  };
}
