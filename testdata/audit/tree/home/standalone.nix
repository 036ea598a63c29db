{ pkgs, ... }:
{
  home.packages = [ pkgs.eza ]; #= home.packages done > home.packages @shell
  programs.kitty.enable = true; #= programs.kitty.enable done > programs.kitty.enable @kitty
}
