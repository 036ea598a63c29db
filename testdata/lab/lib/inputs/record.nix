# The options of home-manager and plasma-manager that a home is checked against where their
# sources are not: names and types, as JSON. Made from the real modules:
#
#   nix eval --json FLAKE#homeConfigurations.NAME --apply "import ./record.nix [ [ \"programs\" \"bash\" ] … ]"
#
# A type is its name, [ name, type… ] with those in it, or { options, freeform } of a submodule.
# What is deeper than depth, and what is of a type not told apart here, is "anything".
roots: home:
let
  inherit (home.pkgs) lib;

  strings = [ "str" "singleLineStr" "nonEmptyStr" "separatedString" "passwdEntry" "lines" "path" "pathInStore" ];
  typeOf = depth: type:
    let
      inner = typeOf (depth - 1);
      nested = type.nestedTypes or { };
      payload = type.functor.payload or null;
    in
    if depth == 0 then "anything"
    else if lib.elem type.name [ "bool" "float" "package" "raw" "anything" "unspecified" ] then type.name
    else if lib.elem type.name strings || lib.hasPrefix "strMatching" type.name then (if type.name == "separatedString" then "lines" else if type.name == "path" then "path" else "str")
    else if lib.hasInfix "int" (lib.toLower type.name) && !(nested ? elemType) then "int"
    else if type.name == "enum" then [ "enum" (payload.values or payload) ]
    else if type.name == "submodule" then {
      options = tree (depth - 1) (removeAttrs (type.getSubOptions [ ]) [ "_module" "_freeformOptions" ]);
      freeform = if nested ? freeformType then inner nested.freeformType else null;
    }
    else if type.name == "either" then [ "either" (inner nested.left) (inner nested.right) ]
    else if type.name == "coercedTo" then [ "either" (inner nested.coercedType) (inner nested.finalType) ]
    else if type.name == "lazyAttrsOf" || type.name == "attrsOf" then [ "attrsOf" (inner nested.elemType) ]
    else if lib.elem type.name [ "nullOr" "listOf" ] then [ type.name (inner nested.elemType) ]
    else if lib.elem type.name [ "unique" "uniq" ] then inner nested.elemType
    else if lib.hasPrefix "attrs" type.name then [ "attrsOf" "anything" ]
    else "anything";

  # Options that were renamed or removed are there to say so.
  gone = o: if o ? description then lib.hasPrefix "Alias of" (o.description.text or o.description) else o.type.name == "unspecified";

  # An option's default may be what is not there; its type is all that is looked at.
  tree = depth: options:
    lib.filterAttrs (_: v: v != null) (lib.mapAttrs (_: o:
      if lib.isOption o then (if o.readOnly or false || gone o then null else { type = typeOf depth o.type; })
      else if lib.isAttrs o then tree depth o
      else null) options);
in
lib.foldl' lib.recursiveUpdate { } (map (path: lib.setAttrByPath path (
  let o = lib.getAttrFromPath path home.options; in
  if lib.isOption o then { type = typeOf 7 o.type; } else tree 7 o)) roots)
