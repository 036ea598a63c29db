# What a home uses of nixpkgs' lib, by the same names. Types are as in ../options.json.
let
  inherit (builtins) attrNames attrValues concatStringsSep elem filter foldl' head isString listToAttrs map match replaceStrings;
in
rec {
  inherit (builtins) attrNames attrValues elem mapAttrs;

  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  nameValuePair = name: value: { inherit name value; };
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  filterAttrs = f: set: listToAttrs (filter (p: f p.name p.value) (mapAttrsToList nameValuePair set));
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  unique = foldl' (all: x: if elem x all then all else all ++ [ x ]) [ ];
  optional = on: x: if on then [ x ] else [ ];
  escapeShellArg = arg: if match "[a-zA-Z0-9,._+:@%/-]+" (toString arg) != null then toString arg else "'${replaceStrings [ "'" ] [ "'\\''" ] (toString arg)}'";
  escapeShellArgs = args: concatStringsSep " " (map escapeShellArg args);
  getName = package: package.pname;
  getExe = package: "${package}/bin/${package.pname}";

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;

  mkOption = option: option // { _type = "option"; };
  mkEnableOption = _: mkOption { type = "bool"; default = false; };
  types = {
    inherit (genAttrs [ "bool" "int" "str" "lines" "path" "package" "anything" ] (name: name)) bool int str lines path package anything;
    nullOr = type: [ "nullOr" type ];
    listOf = type: [ "listOf" type ];
    attrsOf = type: [ "attrsOf" type ];
    enum = values: [ "enum" values ];
  };

  hm.dag.entryAfter = after: data: { inherit after data; };
}
