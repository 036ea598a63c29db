# My home, on every host of mine.
#
#   movein apply                      this host as it is written here; again: repair
#   movein update                     newer inputs, and what that changes, before it does
#   movein init --add-host NAME .     one more host
#
# The same without movein: home-manager switch --flake .#USER@HOST
{
  description = "My home, on every host of mine";

  # All of it is built from one nixpkgs: "follows" keeps the others from bringing their own.
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    home-manager = {
      url = "github:nix-community/home-manager";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    plasma-manager = {
      url = "github:nix-community/plasma-manager";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.home-manager.follows = "home-manager";
    };
  };

  outputs =
    {
      nixpkgs,
      home-manager,
      plasma-manager,
      ...
    }:
    let
      inherit (nixpkgs) lib;

      # Whose home this is. No other file names a person.
      user = {
        username = "mitsio";
        name = "Mitsio";
        email = "mitsio@example.org";
      };

      # The hosts. What is different on NAME is in hosts/NAME.nix; here is only what has to be
      # known before that is read:
      #   system = "aarch64-linux";          its processor
      #   user.username = "other";           another login there
      #   user.home = "/var/home/LOGIN";     a home that is not /home/LOGIN
      #   modules = [ ./more.nix ];          more than its file
      hosts = {
        shoshin.system = "x86_64-linux";
        kinoite = {
          system = "x86_64-linux";
          user.home = "/var/home/mitsio";
        };
        wsl-workspace.system = "x86_64-linux";
      };

      of = host: user // host.user or { };

      homes = lib.mapAttrs (
        hostname: host:
        home-manager.lib.homeManagerConfiguration {
          pkgs = nixpkgs.legacyPackages.${host.system};
          modules = [
            ./home.nix
            plasma-manager.homeModules.plasma-manager
          ]
          ++ host.modules or [ ];
          # What modules may ask for beside config, lib and pkgs, also in their imports.
          extraSpecialArgs = {
            inherit hostname;
            user = of host;
          };
        }
      ) hosts;

      eachSystem = lib.genAttrs (lib.unique (lib.mapAttrsToList (_: host: host.system) hosts));
    in
    {
      homeConfigurations = lib.mapAttrs' (
        hostname: lib.nameValuePair "${(of hosts.${hostname}).username}@${hostname}"
      ) homes;

      # nix fmt
      formatter = eachSystem (system: nixpkgs.legacyPackages.${system}.nixfmt-tree);

      # nix flake check: every home of this kind of processor builds.
      checks = eachSystem (
        system:
        lib.mapAttrs (_: home: home.activationPackage) (
          lib.filterAttrs (hostname: _: hosts.${hostname}.system == system) homes
        )
      );
    };
}
