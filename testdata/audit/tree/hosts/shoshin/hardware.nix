{ modulesPath, ... }:
{
  imports = [ (modulesPath + "/installer/scan/not-detected.nix") ];
  boot.initrd.availableKernelModules = [ "nvme" ]; #= boot.initrd.availableKernelModules system
  boot.loader = {
    systemd-boot.enable = true; #= boot.loader.systemd-boot.enable system
    efi.canTouchEfiVariables = true; #= boot.loader.efi.canTouchEfiVariables system
  };
  fileSystems."/" = { #= fileSystems."/" system
    device = "/dev/disk/by-label/root";
    fsType = "ext4";
  };
  swapDevices = [ ]; #= swapDevices system
  powerManagement.cpuFreqGovernor = "performance"; #= powerManagement.cpuFreqGovernor system
}
