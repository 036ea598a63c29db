# A stand-in for nixpkgs: packages that are one small file each, and of lib what a home uses.
{
  outputs = _: {
    lib = import ./lib.nix;
    legacyPackages = builtins.listToAttrs (
      map (system: {
        name = system;
        value = import ./pkgs.nix system;
      }) [ "x86_64-linux" "aarch64-linux" ]
    );
  };
}
