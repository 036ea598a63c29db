# Makes directory trees in the store with nothing but Nix itself.
#
# The sandbox that Nix builds in has a shell at most, without mkdir, chmod or ln (the one
# that Nix brings), or not even that (some distributions' packages). But Nix has two
# builders inside: unpack-channel, which unpacks a tar archive, and buildenv, which links
# the contents of directories into one. So a tree is written here as a tar archive, byte
# by byte and then in base64, as Nix strings cannot hold NUL; libarchive undoes both.
{ system }:
let
  inherit (builtins)
    add
    concatLists
    concatStringsSep
    elemAt
    foldl'
    fromJSON
    genList
    length
    listToAttrs
    stringLength
    substring
    toFile
    toString
    unsafeDiscardStringContext
    ;

  mod = a: b: a - b * (a / b);
  zeros = n: genList (_: 0) n;

  # ---- strings to bytes: a table of all bytes that UTF-8 has -------------------------
  hex =
    n:
    concatStringsSep "" (
      map (div: substring (mod (n / div) 16) 1 "0123456789abcdef") [
        4096
        256
        16
        1
      ]
    );
  char = units: fromJSON ''"${concatStringsSep "" (map (u: "\\u${hex u}") units)}"'';
  range =
    first: count: f:
    genList (i: {
      name = f i;
      value = first + i;
    }) count;
  codes = listToAttrs (concatLists [
    (range 1 127 (i: char [ (1 + i) ]))
    (range 128 64 (i: substring 1 1 (char [ (128 + i) ])))
    (range 194 30 (i: substring 0 1 (char [ ((2 + i) * 64) ])))
    (range 224 16 (i: substring 0 1 (char [ (if i == 0 then 2048 else i * 4096) ])))
    # Beyond 16 bits JSON has surrogate pairs.
    (range 240 5 (
      i:
      substring 0 1 (char [
        (if i == 0 then 55296 else 55232 + i * 256)
        56320
      ])
    ))
  ]);
  bytes =
    text:
    let
      plain = unsafeDiscardStringContext text;
    in
    genList (i: codes.${substring i 1 plain}) (stringLength plain);

  # ---- bytes to base64 ---------------------------------------------------------------
  # Padded with zeros to whole lines, which a tar archive may end in.
  base64 =
    data:
    let
      digit = n: substring n 1 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      at = i: if i < length data then elemAt data i else 0;
      group =
        i:
        let
          a = at i;
          b = at (i + 1);
          c = at (i + 2);
        in
        digit (a / 4) + digit (mod a 4 * 16 + b / 16) + digit (mod b 16 * 4 + c / 64) + digit (mod c 64);
      line = n: concatStringsSep "" (genList (g: group (n * 57 + g * 3)) 19) + "\n";
    in
    "begin-base64 644 tar\n" + concatStringsSep "" (genList line ((length data + 56) / 57)) + "====\n";

  # ---- tar (POSIX ustar) -------------------------------------------------------------
  field =
    size: text:
    if stringLength text > size then
      throw "'${text}' is too long: a name may have ${toString size} bytes here"
    else
      bytes text ++ zeros (size - stringLength text);
  octal = digits: n: if digits == 0 then "" else octal (digits - 1) (n / 8) + toString (mod n 8);
  header =
    {
      name,
      mode,
      size,
      type,
      link,
    }:
    let
      before =
        field 100 name
        ++ concatLists (
          map (field 8) [
            mode
            "0000000"
            "0000000"
          ]
        )
        ++ field 12 (octal 11 size)
        ++ field 12 (octal 11 0);
      after = bytes type ++ field 100 link ++ field 6 "ustar" ++ bytes "00" ++ zeros 247;
      # The sum over the header, with blanks in its own place.
      sum = foldl' add 256 (before ++ after);
    in
    before
    ++ bytes (octal 6 sum)
    ++ [
      0
      32
    ]
    ++ after;
  member =
    name:
    {
      text ? "",
      executable ? false,
      link ? null,
    }:
    let
      size = stringLength text;
    in
    if link != null then
      header {
        inherit name;
        mode = "0000777";
        size = 0;
        type = "2";
        link = "${link}";
      }
    else
      header {
        inherit name size;
        mode = if executable then "0000755" else "0000644";
        type = "0";
        link = "";
      }
      ++ bytes text
      ++ zeros (mod (512 - mod size 512) 512);
  tar =
    entries:
    concatLists (map (name: member "tree/${name}" entries.${name}) (builtins.attrNames entries))
    ++ zeros 1024;

  build =
    attrs:
    derivation (
      {
        inherit system;
        # Nobody else has built this: do not ask, which would take seconds without network.
        allowSubstitutes = false;
        preferLocalBuild = true;
      }
      // attrs
    );
in
{
  # unpack NAME ENTRIES: the path of a directory with the files ENTRIES, an attribute set
  # of { text, executable } or { link } by their path. Links may lead to store paths.
  unpack =
    name: entries:
    let
      drv = build {
        inherit name;
        builder = "builtin:unpack-channel";
        channelName = "tree";
        src = toFile "${name}.tar.base64" (base64 (tar entries));
        # What links lead to. The archive hides it from Nix.
        references = concatLists (
          map (e: if e ? link then [ e.link ] else [ ]) (builtins.attrValues entries)
        );
      };
    in
    "${drv}/tree";

  # merge NAME DIR: a package whose top level are links to what DIR contains. Names that
  # begin with a dot are left out.
  merge =
    name: dir:
    build {
      inherit name;
      builder = "builtin:buildenv";
      # An active package of priority 5 with 1 output; and what nix-env knows of it.
      derivations = [
        "true"
        "5"
        "1"
        dir
      ];
      manifest = toFile "manifest.nix" "[ ]";
    };
}
