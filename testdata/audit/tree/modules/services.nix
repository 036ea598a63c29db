{ config, pkgs, ... }:
{
  virtualisation.docker.enable = true; #= virtualisation.docker.enable system
  virtualisation.oci-containers.containers.web.image = "nginx"; #= virtualisation.oci-containers.containers.web.image system
  services.openssh.enable = true; #= services.openssh.enable system
  services.openssh.settings.PasswordAuthentication = false; #= services.openssh.settings system
  services.postgresql.enable = true; #= services.postgresql.enable system
  services.syncthing = {
    enable = true; #= services.syncthing.enable home > services.syncthing.enable @syncthing-myspaces
    user = "mitsio"; #= services.syncthing.user home @syncthing-myspaces
    dataDir = "/home/mitsio"; #= services.syncthing.dataDir home @syncthing-myspaces
    overrideDevices = false; #= services.syncthing.overrideDevices home > services.syncthing.overrideDevices @syncthing-myspaces
    settings.folders.myspaces.path = "~/MySpaces"; #= services.syncthing.settings home > services.syncthing.settings @syncthing-myspaces
    openDefaultPorts = true; #= services.syncthing.openDefaultPorts system
  };
  services.ollama.enable = true; #= services.ollama.enable system
  services.emacs.defaultEditor = true; #= services.emacs.defaultEditor home > services.emacs.defaultEditor @home
  systemd.services.backup = { #= systemd.services.backup system
    serviceConfig.ExecStart = "/run/current-system/sw/bin/true";
  };
  systemd.user.services.rclone-gdrive = { #= systemd.user.services.rclone-gdrive home > systemd.user.services.rclone-gdrive @home
    wantedBy = [ "default.target" ];
    serviceConfig.ExecStart = "${pkgs.rclone}/bin/rclone mount gdrive: %h/gdrive";
  };
  systemd.user.timers.rclone-gdrive.timerConfig.OnCalendar = "hourly"; #= systemd.user.timers.rclone-gdrive home > systemd.user.timers.rclone-gdrive @home
  sops.secrets.wifi = { }; #= sops.secrets.wifi system
  stylix.enable = true; #= stylix.enable undecided
}
