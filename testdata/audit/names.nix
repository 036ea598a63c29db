# The names of home-manager's options, one a line, with a stand-in for nixpkgs:
#
#   nix eval --impure --raw --expr 'import ./names.nix { nixpkgsLib = /a/clone/of/nixpkgs.lib; homeManager = /a/clone/of/home-manager; }'
#
# From them are the lists at the end of embed/audit.txt, and home-options.txt, which has
# those that the table names.
{ nixpkgsLib, homeManager }:
let
  lib = import (homeManager + "/modules/lib/stdlib-extended.nix") (import (nixpkgsLib + "/lib"));
  format = _: {
    type = lib.types.attrsOf lib.types.anything;
    generate = _: value: value;
    lib.types.atom = lib.types.anything;
  };
  pkgs = {
    inherit lib;
    path = nixpkgsLib;
    stdenv.hostPlatform = lib.systems.elaborate "x86_64-linux";
    formats = lib.genAttrs (lib.splitString " " "json yaml yaml_1_2 toml ini iniWithGlobalSection keyValue gitIni libconfig hocon lua pythonVars xml php javaProperties plist hcl1 configobj systemd") (
      _: format
    );
  };
  # nixpkgs' two modules that home-manager takes are not in nixpkgs.lib
  ofNixpkgs = module: builtins.isString module && lib.hasInfix "/nixos/modules/misc/" module || builtins.isPath module && lib.hasInfix "/nixos/modules/misc/" (toString module);
  modules = builtins.filter (m: !ofNixpkgs m) (
    import (homeManager + "/modules/modules.nix") {
      inherit pkgs lib;
      check = false;
      useNixpkgsModule = false;
    }
  );
  evaluated = lib.evalModules {
    class = "homeManager";
    modules = modules ++ [
      {
        config._module.args.pkgs = lib.mkForce pkgs;
        options = lib.genAttrs [ "assertions" "warnings" "meta" ] (_: lib.mkOption { default = [ ]; });
      }
    ];
    specialArgs.modulesPath = toString (homeManager + "/modules");
  };
  shown = o: path: (builtins.tryEval (o.visible or true == true)).value || lib.take 2 path == [ "programs" "brave" ];
  names =
    path: o:
    if lib.isOption o then
      lib.optional (shown o path) (lib.concatStringsSep "." path)
    else
      lib.concatMap (name: lib.optionals (name != "_module") (names (path ++ [ name ]) o.${name})) (builtins.attrNames o);
in
lib.concatLines (names [ ] evaluated.options)
