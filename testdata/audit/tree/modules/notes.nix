{ config, lib, pkgs, ... }:
{
  options.my.notes.enable = lib.mkEnableOption "notes";
  config = lib.mkIf config.my.notes.enable {
    home-manager.users.mitsio = lib.mkMerge [
      { home.packages = [ pkgs.obsidian ]; } #= home.packages home > home.packages @home
      (
        { config, ... }:
        {
          xdg.configFile."obsidian/x.json".text = "{}"; #= xdg.configFile."obsidian/x.json" home > xdg.configFile."obsidian/x.json" @home
        }
      )
    ];
  };
}
