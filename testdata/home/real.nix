# The homes of the flake in home with the real home-manager and plasma-manager, and a nixpkgs that is
# its lib and a stand-in: home_real_test.go.
{
  home,
  nixpkgs,
  homeManager,
  plasmaManager,
}:
let
  flake =
    dir: inputs:
    let
      self = (import (dir + "/flake.nix")).outputs ({ inherit self; } // inputs);
    in
    self;
  inputs = {
    nixpkgs = {
      lib = import (nixpkgs + "/lib");
      legacyPackages.x86_64-linux = import nixpkgs { system = "x86_64-linux"; };
    };
    home-manager = flake homeManager { inherit (inputs) nixpkgs; };
    # Its module had another name before August 2025.
    plasma-manager =
      let
        of = flake plasmaManager { inherit (inputs) nixpkgs home-manager; };
      in
      { homeModules = of.homeManagerModules; } // of;
  };
  # By host: Nix builds nothing with an @ in its attribute.
  homes = inputs.nixpkgs.lib.mapAttrs' (name: value: {
    name = builtins.elemAt (builtins.split "@" name) 2;
    inherit value;
  }) (flake home inputs).homeConfigurations;
  recorded = removeAttrs (builtins.fromJSON (
    builtins.readFile ../lab/lib/inputs/home-manager/options.json
  )) [ "provenance" ];
in
{
  warnings = builtins.mapAttrs (_: home: home.config.warnings) homes;

  # home-manager's manual is left out: what makes it is nixpkgs'.
  built = builtins.mapAttrs (
    _: home:
    (home.extendModules { modules = [ { manual.manpages.enable = false; } ]; }).activationPackage
  ) homes;

  # The record of names and types that tests have where the sources are not, and what it is now.
  inherit recorded;
  record = import ../lab/lib/inputs/record.nix (builtins.concatMap (
    group:
    if recorded.${group} ? type then
      [ [ group ] ]
    else
      map (name: [
        group
        name
      ]) (builtins.attrNames recorded.${group})
  ) (builtins.attrNames recorded)) (builtins.head (builtins.attrValues homes));
}
