{ config, ... }:
{
  services.xserver.videoDrivers = [ "nvidia" ]; #= services.xserver.videoDrivers system
  hardware.nvidia = {
    open = true; #= hardware.nvidia.open system
    package = config.boot.kernelPackages.nvidiaPackages.beta; #= hardware.nvidia.package system
  };
}
