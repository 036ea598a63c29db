# a part of a flake: modules by aspect
{ lib, ... }:
{
  flake.aspects.of = "this file";
  flake.modules.nixos.tools = {
    programs.mtr.enable = true; #= programs.mtr.enable system
  };
  den.aspects.tools = {
    nixos.boot.tmp.useTmpfs = true; #= boot.tmp.useTmpfs system
    homeManager =
      { pkgs, ... }:
      {
        programs.lsd.enable = true; #= programs.lsd.enable home > programs.lsd.enable @shell
        home.packages = [ pkgs.gh ]; #= home.packages home > home.packages @git
      };
  };
}
