{ nixpkgs, inputs }:
name:
nixpkgs.lib.nixosSystem {
  system = "x86_64-linux";
  specialArgs = { inherit inputs; };
  modules = [ ../hosts/${name}.nix ];
}
