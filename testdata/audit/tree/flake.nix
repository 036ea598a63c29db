{
  description = "A NixOS configuration whose user lives in it; what becomes of each definition is said behind it";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    home-manager.url = "github:nix-community/home-manager";
  };

  outputs =
    { self, nixpkgs, home-manager, ... }@inputs:
    let
      user = "mitsio";
      mkHost = import ./lib/mkhost.nix { inherit nixpkgs inputs; };
      common = [
        ./modules/security.nix
        { time.timeZone = "Europe/Athens"; } #= time.timeZone system
      ];
    in
    {
      nixosConfigurations.shoshin = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        specialArgs = { inherit inputs user; };
        modules = common ++ [
          ./hosts/shoshin
          home-manager.nixosModules.home-manager
          {
            home-manager.useGlobalPkgs = true; #= home-manager.useGlobalPkgs system
            home-manager.users.${user} = import ./home/mitsio;
          }
        ];
      };
      nixosConfigurations.desk = mkHost "desk";

      # this one is decoupled already
      homeConfigurations."mitsio@kinoite" = home-manager.lib.homeManagerConfiguration {
        pkgs = nixpkgs.legacyPackages.x86_64-linux;
        modules = [
          ./home/standalone.nix
          { home.username = "mitsio"; } #= home.username done > home.username @home
        ];
      };
    };
}
