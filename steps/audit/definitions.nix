# The options that configurations define in files below root: a list of { host, option, files }.
# hosts: the names of those to look at; none: all.
{ root, hosts }:
configurations:
let
  inherit (builtins)
    attrNames
    concatLists
    elem
    filter
    isAttrs
    map
    stringLength
    substring
    tryEval
    ;

  # the file's name from root on; null if it is elsewhere
  below =
    file:
    let
      name = builtins.unsafeDiscardStringContext (toString file);
      length = stringLength root;
    in
    if substring 0 (length + 1) name == "${root}/" then substring (length + 1) (-1) name else null;

  # a value, or what to take if it cannot be had
  try =
    otherwise: value:
    let
      result = tryEval (builtins.deepSeq value value);
    in
    if result.success then result.value else otherwise;

  isOption = x: (tryEval (isAttrs x && (x._type or "") == "option")).value;
  isSet = x: (tryEval (isAttrs x)).value;

  definitions =
    host: option: x:
    let
      files = filter (file: file != null) (
        try [ ] (map (d: below (d.file or "")) (x.definitionsWithLocations or [ ]))
      );
      users =
        if
          option == [
            "home-manager"
            "users"
          ]
        then
          (tryEval (x.valueMeta.attrs or { })).value
        else
          { };
    in
    (if files == [ ] then [ ] else [ { inherit host option files; } ])
    ++ (
      if isSet users then
        concatLists (
          map (user: options host (option ++ [ user ]) (users.${user}.configuration.options or { })) (
            attrNames users
          )
        )
      else
        [ ]
    );

  options =
    host: option: x:
    if isOption x then
      definitions host option x
    else if isSet x then
      concatLists (
        map (name: if substring 0 1 name == "_" then [ ] else options host (option ++ [ name ]) x.${name}) (
          attrNames x
        )
      )
    else
      [ ];
in
concatLists (
  map (host: options host [ ] (configurations.${host}.options or { })) (
    filter (host: hosts == [ ] || elem host hosts) (attrNames configurations)
  )
)
