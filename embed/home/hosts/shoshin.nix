# NixOS. The system is another repo's (~/.config/nixos): drivers, desktop, services, containers.
{ hostname, ... }:
let
  system = "~/.config/nixos";
in
{
  my.desktop = true;
  my.claude-code.enable = true;
  my.npm.enable = true;
  my.semantic-grep.enable = true;

  home.shellAliases = {
    nrs = "sudo nixos-rebuild switch --flake ${system}#${hostname}";
    nrt = "sudo nixos-rebuild test --flake ${system}#${hostname}";
    nru = "nix flake update --flake ${system} && nrs"; # without --flake it would be the name of an input
    cd-nixos = "cd ${system}";
  };
}
