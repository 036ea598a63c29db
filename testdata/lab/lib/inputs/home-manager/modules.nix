# The module system as far as a home needs one: { config, said }; said is of config what is defined.
lib: recorded: defaults: modules: args:
let
  inherit (builtins) all any attrNames concatMap concatStringsSep elem elemAt filter foldl' functionArgs head intersectAttrs isAttrs isBool isFloat isFunction isInt isList isPath isString length listToAttrs map substring toJSON typeOf;

  # A module, and those it imports, as { file, options, config }.
  load = file: module:
    if isPath module || isString module then load (toString module) (import module)
    else if isFunction module then load file (module (intersectAttrs (functionArgs module) args'))
    else
      concatMap (load file) (module.imports or [ ])
      ++ [
        {
          inherit file;
          options = module.options or { };
          config = if module ? config || module ? options then module.config or { } else removeAttrs module [ "imports" ];
        }
      ];
  args' = args // { inherit config lib; };
  loaded = concatMap (load "flake.nix") modules;

  # An option is { type, default }; what is recorded has no default, and no more than a type
  # that is a name, a list, or a submodule's { options, freeform }.
  isOption = v: v ? _type || (v ? type && (!isAttrs v.type || v.type ? freeform));
  update = a: b: a // listToAttrs (map (name: {
    inherit name;
    value = if a ? ${name} && !isOption b.${name} then update a.${name} b.${name} else b.${name};
  }) (attrNames b));
  options = foldl' (all: m: update all m.options) recorded loaded;

  show = concatStringsSep ".";
  fail = loc: file: what: throw "The option `${show loc}' ${what}. Definition in `${file}'.";

  # Definitions are { file, value, priority, on }: conditions are not looked at before they must be.
  start = { file, config, ... }: { inherit file; value = config; priority = 100; on = true; };
  open = d:
    if !(isAttrs d.value) then [ d ]
    else if (d.value._type or "") == "if" then open (d // { value = d.value.content; on = d.on && d.value.condition; })
    else if (d.value._type or "") == "merge" then concatMap (value: open (d // { inherit value; })) d.value.contents
    else if (d.value._type or "") == "override" then open (d // { value = d.value.content; inherit (d.value) priority; })
    else [ d ];
  at = name: concatMap (d: if isAttrs d.value && d.value ? ${name} then open (d // { value = d.value.${name}; }) else [ ]);

  group = loc: spec: defs: listToAttrs (map (name: {
    inherit name;
    value =
      let here = loc ++ [ name ]; own = at name defs; in
      if isOption spec.${name} then option here spec.${name} own else group here spec.${name} own;
  }) (attrNames spec));

  # As group, but only what is defined.
  saidIn = loc: spec: defs: listToAttrs (filter (p: p.value != { }) (map (name: {
    inherit name;
    value =
      let here = loc ++ [ name ]; own = at name defs; in
      if !(isOption spec.${name}) then saidIn here spec.${name} own
      else if any (d: d.on) own then option here spec.${name} own
      else { };
  }) (attrNames spec)));

  # What no option is for, wherever it is: also where it is switched off.
  unknown = loc: spec: concatMap (d:
    if !(isAttrs d.value) then [ (fail loc d.file "is a set of options") ]
    else concatMap (name:
      if !(spec ? ${name}) then fail (loc ++ [ name ]) d.file "does not exist"
      else if isOption spec.${name} then [ ]
      else unknown (loc ++ [ name ]) spec.${name} (at name [ d ])) (attrNames d.value));

  option = loc: spec: defs:
    let
      on = filter (d: d.on) defs;
      value = merge loc spec.type on;
      fallback = foldl' (v: name: if v == null then null else v.${name} or null) defaults loc;
    in
    if on != [ ] then value
    else if spec ? default then spec.default
    else if fallback != null then fallback
    else throw "The option `${show loc}' is used and nowhere defined, and its default is not known here";

  merge = loc: type: defs:
    let
      strongest = foldl' (p: d: if d.priority < p then d.priority else p) 9999 defs;
      left = filter (d: d.priority == strongest) defs;
      values = map (d: d.value) left;
      d = head left;
      kind = if isList type then head type else if isAttrs type then "submodule" else type;
      inner = elemAt type 1;
      names = foldl' (all: v: all // v) { } values;
      each = f: filter (p: p.value != null) (map (name: {
        inherit name;
        value = let own = filter (d: d.on) (at name left); in if own == [ ] then null else f name own;
      }) (attrNames names));
      checked = all (v: fits type v) values || fail loc d.file "is not of type ${toJSON (if isAttrs type then "submodule" else type)}, but ${typeOf (head values)}";
    in
    assert checked;
    if kind == "nullOr" then (if head values == null then null else merge loc inner left)
    else if kind == "either" then merge loc (if all (fits inner) values then inner else elemAt type 2) left
    else if kind == "listOf" then concatMap (d: map (value: merge loc inner [ (d // { inherit value; }) ]) d.value) left
    else if kind == "attrsOf" then listToAttrs (each (name: merge (loc ++ [ name ]) inner))
    else if kind == "submodule" then listToAttrs (each (name: own:
      let spec = type.options.${name} or null; here = loc ++ [ name ]; free = if isList type.freeform then elemAt type.freeform 1 else type.freeform; in
      if spec != null && isOption spec then merge here spec.type own
      else if spec != null then merge here { options = spec; freeform = free; } own
      else if free != null then merge here free own
      else fail here d.file "does not exist"))
    else if kind == "lines" then concatStringsSep "\n" values
    else if kind == "anything" && all isAttrs values && length values > 1 then listToAttrs (each (name: merge (loc ++ [ name ]) "anything"))
    else if all (v: v == head values) values || isFunction (head values) then head values
    else fail loc d.file "has conflicting definition values";

  fits = type: v:
    let kind = if isList type then head type else if isAttrs type then "submodule" else type; inner = elemAt type 1; in
    if kind == "nullOr" then v == null || fits inner v
    else if kind == "either" then fits inner v || fits (elemAt type 2) v
    else if kind == "enum" then elem v inner
    else if kind == "listOf" then isList v && all (fits inner) v
    else if kind == "attrsOf" || kind == "submodule" then isAttrs v && !(v ? outPath)
    else if kind == "bool" then isBool v
    else if kind == "int" then isInt v
    else if kind == "float" then isFloat v
    else if kind == "package" then isAttrs v && (v.type or "") == "derivation"
    else if kind == "path" then isPath v || isString v && substring 0 1 v == "/" || isAttrs v && v ? outPath
    else if kind == "str" || kind == "lines" then isString v
    else elem kind [ "anything" "raw" "unspecified" ];

  defs = concatMap (m: open (start m)) loaded;
  config = group [ ] options defs;
in
{
  config = if unknown [ ] options defs == [ ] then config else throw "not reached";
  said = saidIn [ ] options defs;
}
