{ config, lib, pkgs, ... }:
let
  cfg = config.my.gaming;
in
{
  options.my.gaming.enable = lib.mkEnableOption "games";
  config = lib.mkIf cfg.enable {
    programs.steam.enable = true; #= programs.steam.enable system
    programs.gamemode.enable = true; #= programs.gamemode.enable system
    hardware.xone.enable = true; #= hardware.xone.enable system
  };
}
