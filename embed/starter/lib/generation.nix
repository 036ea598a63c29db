# A home as home.nix says, as a home-manager generation: what "nix build" makes of
# activationPackage can be kept as a profile and activated like home-manager's own.
{ host, home }:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    filter
    mapAttrs
    readFile
    replaceStrings
    ;

  tree = import ./tree.nix { inherit (host) system; };
  quote = text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";

  # A misspelt option would leave out what it says, in silence.
  unknown =
    filter (name: name != "home") (attrNames home)
    ++ map (name: "home.${name}") (
      filter (
        name:
        !(elem name [
          "file"
          "shellAliases"
        ])
      ) (attrNames home.home)
    );
  options =
    if unknown == [ ] then
      home.home
    else
      throw "home.nix: there is no option ${concatStringsSep ", " unknown}; this home knows home.file and home.shellAliases";

  aliases = options.shellAliases or { };
  files =
    mapAttrs
      (name: file: {
        text = file.text or (readFile file.source);
        executable = file.executable or false;
      })
      (
        (
          if aliases == { } then
            { }
          else
            {
              ".config/movein/starter/aliases.sh".text = ''
                # From home.shellAliases in home.nix; for bash, zsh and other POSIX shells.
                ${concatStringsSep "\n" (map (name: "alias ${name}=${quote aliases.${name}}") (attrNames aliases))}
              '';
            }
        )
        // options.file or { }
      );

  # The links in a home lead to /nix/store/HASH-home-manager-files/FILE: that name is how
  # home-manager knows its own links.
  homeFiles = builtins.path {
    name = "home-manager-files";
    path = tree.unpack "starter-files" files;
  };
in
{
  activationPackage = tree.merge "home-manager-generation" (
    tree.unpack "starter-generation" {
      "activate" = {
        executable = true;
        text = ''
          #!/bin/sh
          config_user=${quote host.user}
          config_home=${quote host.home}
          store=${quote builtins.storeDir}

        ''
        + readFile ./activate.sh;
      };
      "gen-version".text = "1\n";
      "hm-version".text = "starter\n";
      "home-files".link = homeFiles;
    }
  );

  # What home-manager's own configurations tell about themselves.
  config.home = {
    username = host.user;
    homeDirectory = host.home;
    file = mapAttrs (name: file: {
      target = name;
      inherit (file) text executable;
    }) files;
    shellAliases = aliases;
  };
}
