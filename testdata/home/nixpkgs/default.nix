# A stand-in for nixpkgs around its real lib (./lib, which the test links here), for the real
# home-manager: what is built is built by the machine's own bash and tools, without a sandbox, and
# a package is one program that does nothing. What home-manager itself calls is here by name.
{
  system,
  config ? { },
  ...
}:
let
  lib = import ./lib;
  inherit (lib) types;

  # Unfree packages are refused as nixpkgs does.
  unfree = [ "claude-code" ];
  refused =
    pname: lib.elem pname unfree && !(config.allowUnfreePredicate or (_: false)) { inherit pname; };

  run =
    name: env: script:
    lib.extendDerivation true { meta = env.meta or { }; } (
      derivation (
        removeAttrs env [
          "meta"
          "nativeBuildInputs"
          "buildInputs"
        ]
        // {
          inherit name system;
          PATH = lib.concatMapStrings (p: "${p}/bin:") (env.nativeBuildInputs or [ ]) + "/usr/bin:/bin";
          builder = "/bin/bash";
          args = [
            "-ec"
            ''
              runHook() { :; }
              installShellCompletion() { :; }
              substituteInPlace() {
                local text file=$1
                shift
                text=$(<"$file")
                while (($#)); do
                  case $1 in
                  --subst-var-by) text=''${text//"@$2@"/"$3"} ;;
                  *) text=''${text//"$2"/"$3"} ;;
                  esac
                  shift 3
                done
                printf '%s\n' "$text" >"$file"
              }
              ${script}
              exit 0 # no program is the last: Nix kills what closes its output before it ends
            ''
          ];
        }
      )
    );

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      meta ? { },
      ...
    }:
    run name
      {
        inherit text meta;
        passAsFile = [ "text" ];
      }
      ''
        target=$out${destination}
        mkdir -p "''${target%/*}"
        cp "$textPath" "$target"
        ${lib.optionalString executable ''chmod +x "$target"''}
      '';
  script =
    name: destination: text:
    writeTextFile {
      inherit name destination;
      text = "#!/bin/bash\n${text}";
      executable = true;
      meta.mainProgram = name;
    };

  package =
    pname:
    if refused pname then
      throw "Package ‘${pname}’ has an unfree license, refusing to evaluate."
    else
      script pname "/bin/${pname}" "exit 0\n"
      // {
        inherit pname;
        version = "3.0";
        override = _: package pname;
      };
  extension =
    publisher: pname:
    package pname
    // {
      vscodeExtPublisher = publisher;
      vscodeExtUniqueId = "${publisher}.${pname}";
    };

  # Of what a format writes, only the type is as in nixpkgs: the text is always JSON.
  format = type: {
    inherit type;
    generate = name: value: pkgs.writeText name (builtins.toJSON value);
    lib.types.atom = atom;
  };
  atom =
    with types;
    nullOr (oneOf [
      bool
      int
      float
      str
    ]);
  json =
    with types;
    nullOr (oneOf [
      bool
      int
      float
      str
      path
      (attrsOf json)
      (listOf json)
    ]);
  keyValue =
    arg:
    types.attrsOf (
      if arg.listsAsDuplicateKeys or false then types.either atom (types.listOf atom) else atom
    );

  pkgs = lib.genAttrs (lib.splitString "\n" (lib.fileContents ./packages)) package // {
    inherit
      lib
      pkgs
      config
      system
      writeTextFile
      ;
    path = ./.;
    overlays = [ ];
    buildPackages = pkgs;
    stdenv = {
      hostPlatform = lib.systems.elaborate system;
      shellDryRun = "/bin/bash -n";
      mkDerivation = a: package (a.pname or a.name) // { inherit (a) meta; };
    };
    stdenvNoCC = pkgs.stdenv;
    callPackage =
      f: args:
      let
        function = if lib.isFunction f then f else import f;
      in
      function (builtins.intersectAttrs (lib.functionArgs function) pkgs // args);

    formats =
      lib.genAttrs [
        "json"
        "yaml"
        "yaml_1_2"
        "toml"
        "xml"
        "hocon"
        "lua"
        "plist"
        "php"
        "hcl1"
        "libconfig"
        "configobj"
        "pythonVars"
      ] (_: _: format json)
      // lib.genAttrs [ "keyValue" "javaProperties" ] (_: arg: format (keyValue arg))
      // lib.genAttrs [ "ini" "iniWithGlobalSection" "gitIni" ] (
        _: arg: format (types.attrsOf (keyValue arg))
      )
      // {
        systemd =
          _:
          format (
            types.attrsOf (keyValue {
              listsAsDuplicateKeys = true;
            })
          );
      };

    runCommand = run;
    runCommandLocal = run;
    writeText = name: text: writeTextFile { inherit name text; };
    writeScript =
      name: text:
      writeTextFile {
        inherit name text;
        executable = true;
      };
    writeShellScript = name: script name "";
    writeShellScriptBin = name: script name "/bin/${name}";
    writeShellApplication = a: pkgs.writeShellScriptBin a.name a.text;
    writers.writeBash = pkgs.writeShellScript;
    replaceVars =
      file: vars:
      run (baseNameOf file) { } ''
        cp ${file} $out
        chmod +w $out
        substituteInPlace $out ${
          lib.escapeShellArgs (
            lib.concatLists (
              lib.mapAttrsToList (name: value: [
                "--subst-var-by"
                name
                "${value}"
              ]) vars
            )
          )
        }
      '';
    buildEnv =
      { name, paths, ... }:
      run name { } ''
        mkdir $out
        for path in ${toString paths}; do [[ ! -d $path ]] || cp -rsfT $path $out; done
      '';
    symlinkJoin = pkgs.buildEnv;
    linkFarm =
      name: entries:
      run name { } (
        lib.concatStrings (lib.mapAttrsToList (to: from: "install -D ${from} $out/${to}\n") entries)
      );
    lndir = script "lndir" "/bin/lndir" ''cp -rsT "''${@: -2:1}" "''${@: -1}"'';
    emptyDirectory = run "empty" { } "mkdir $out";
    makeDesktopItem =
      a:
      writeTextFile {
        inherit (a) name;
        destination = "/share/applications/${a.name}.desktop";
        text = builtins.toJSON a;
      };

    vscode-extensions = {
      jnoortheen.nix-ide = extension "jnoortheen" "nix-ide";
      golang.go = extension "golang" "go";
    };
    vscode-utils.toExtensionJson = list: builtins.toJSON (map (e: e.vscodeExtUniqueId) list);
    kdePackages = lib.genAttrs [ "plasma-workspace" "plasma-workspace-wallpapers" ] package;
  };
in
pkgs
