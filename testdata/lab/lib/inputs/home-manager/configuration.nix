# homeConfigurations.NAME, as home-manager's own has it.
{
  pkgs,
  modules,
  extraSpecialArgs ? { },
}:
let
  lib = pkgs.lib;
  recorded = removeAttrs (builtins.fromJSON (builtins.readFile ./options.json)) [ "provenance" ];
  home = config.home.homeDirectory;
  # Of what a home asks without having said it.
  defaults = {
    xdg = {
      configHome = "${home}/.config";
      dataHome = "${home}/.local/share";
    };
    programs = lib.genAttrs [ "keepassxc" "rclone" ] (name: { package = pkgs.${name}; }) // {
      npm.package = pkgs.nodejs;
    };
    lib.nixGL.wrap = package: package;
  };
  inherit (import ./modules.nix lib (recorded // { lib.nixGL.wrap.type = "anything"; }) defaults modules ({ inherit pkgs; } // extraSpecialArgs)) config said;

  inherit (builtins) attrNames concatMap concatStringsSep filter listToAttrs map toJSON;
  lines = f: set: concatStringsSep "" (map (name: f name set.${name}) (attrNames set));
  at = path: fallback: builtins.foldl' (v: name: v.${name} or fallback) said path;

  enabled = group: filter (name: said.${group}.${name}.enable or false) (attrNames (said.${group} or { }));
  settings = group: name: {
    name = ".config/settings/${name}.json";
    value = toJSON said.${group}.${name};
  };
  units = kind: suffix: lib.mapAttrsToList (name: unit: {
    name = ".config/systemd/user/${name}.${suffix}";
    value = lines (section: keys: "[${section}]\n${lines (key: v: concatStringsSep "" (map (v: "${key}=${toString v}\n") (if builtins.isList v then v else [ v ]))) keys}\n") unit;
  }) (at [ "systemd" "user" kind ] { });
  texts = prefix: path: concatMap (name: let f = (at path { }).${name}; in lib.optional (f ? text) { name = prefix + name; value = f.text; }) (attrNames (at path { }));

  aliases = at [ "home" "shellAliases" ] { } // at [ "programs" "bash" "shellAliases" ] { };
  variables = at [ "home" "sessionVariables" ] { };
  files = listToAttrs (
    map (settings "programs") (enabled "programs") ++ map (settings "services") (enabled "services")
    ++ units "services" "service" ++ units "timers" "timer"
    ++ texts "" [ "home" "file" ] ++ texts ".config/" [ "xdg" "configFile" ] ++ texts ".local/share/" [ "xdg" "dataFile" ]
    ++ lib.optional (said.programs.bash.enable or false) {
      name = ".bashrc";
      value = lines (name: v: "alias -- ${name}=${lib.escapeShellArg v}\n") aliases + at [ "programs" "bash" "initExtra" ] "";
    }
    ++ [ { name = ".profile"; value = lines (name: v: "export ${name}=${lib.escapeShellArg v}\n") variables; } ]
  );
  packages = map (p: p.name) (at [ "home" "packages" ] [ ]);
in
{
  config = builtins.deepSeq said config;
  inherit pkgs;

  # All that there is to compare.
  summary = { inherit aliases files packages variables; };

  activationPackage = derivation {
    name = "home-manager-generation";
    inherit (pkgs.stdenv.hostPlatform) system;
    builder = "/bin/sh";
    homeFiles = derivation {
      name = "home-manager-files";
      inherit (pkgs.stdenv.hostPlatform) system;
      builder = "/bin/sh";
      args = [ "-euc" (concatStringsSep "\n" (lib.mapAttrsToList (name: text: ''
        file="$out"/${lib.escapeShellArg name}
        mkdir -p "''${file%/*}"
        cp ${builtins.toFile (builtins.replaceStrings [ "/" " " ] [ "-" "-" ] (builtins.baseNameOf "x${name}")) text} "$file"
      '') files)) ];
    };
    activation = builtins.path { path = ./activation; name = "home-manager-activation"; };
    args = [ "-euc" ''
      mkdir $out
      ln -s $homeFiles $out/home-files
      cp $activation/* $out/
      chmod +x $out/activate
      echo 1 >$out/gen-version
    '' ];
  };
}
