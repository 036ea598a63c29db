{ lib, pkgs, ... }:
{
  imports = map (m: ../modules + "/${m}.nix") [
    "desktop"
    "development"
  ];
  networking.hostName = "desk"; #= networking.hostName system
  hardware.graphics.enable = true; #= hardware.graphics.enable system
  environment = lib.mkMerge [
    {
      systemPackages = with pkgs; [ #= environment.systemPackages home > home.packages @kitty
        kitty
      ];
    }
    (lib.mkIf true {
      sessionVariables = {
        MOZ_ENABLE_WAYLAND = "1"; #= environment.sessionVariables.MOZ_ENABLE_WAYLAND home > home.sessionVariables.MOZ_ENABLE_WAYLAND @shell
        LIBVA_DRIVER_NAME = "nvidia"; #= environment.sessionVariables.LIBVA_DRIVER_NAME system
      };
    })
  ];
}
