{
  config,
  lib,
  pkgs,
  user,
  ...
}:
let
  browsers = with pkgs; [
    brave
    firefox
  ];
  cfg = config.my.gaming;
in
{
  imports = [
    ./hardware.nix
    ../../modules/nvidia.nix
    ../../modules/audio.nix
    ../../modules/desktop.nix
    ../../modules/services.nix
    ../../modules/shell.nix
    ../../modules/users.nix
    ../../modules/gaming.nix
    ../../modules/notes.nix
    (lib.mkAliasOptionModule [ "hm" ] [ "home-manager" "users" user ])
  ];

  system.stateVersion = "25.11"; #= system.stateVersion system
  networking = {
    hostName = "shoshin"; #= networking.hostName system
    networkmanager.enable = true; #= networking.networkmanager.enable system
    firewall.allowedTCPPorts = [ 22 ]; #= networking.firewall.allowedTCPPorts system
  };
  i18n.defaultLocale = "en_US.UTF-8"; #= i18n.defaultLocale system
  nix.settings.experimental-features = [ #= nix.settings system
    "nix-command"
    "flakes"
  ];
  nixpkgs.config.allowUnfree = true; #= nixpkgs.config.allowUnfree system
  my.gaming.enable = true; #= my.gaming.enable system
  my.notes.enable = true; #= my.notes.enable home @home

  environment.systemPackages = browsers ++ lib.optionals cfg.enable [ pkgs.mangohud ]; #= environment.systemPackages home > home.packages @home
  hm.programs.zoxide.enable = true; #= programs.zoxide.enable home > programs.zoxide.enable @shell
  hm.home.packages = [ pkgs.rclone ]; #= home.packages home > home.packages @rclone-gdrive
  specialisation.travel.configuration = {
    services.tlp.enable = true; #= services.tlp.enable system
    programs.firefox.enable = true; #= programs.firefox.enable home > programs.firefox.enable @home
  };
}
