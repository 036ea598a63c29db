# A package is a file that says its name; so is a script, with its text.
system:
let
  lib = import ./lib.nix;
  file = pname: text: {
    type = "derivation";
    name = pname;
    inherit pname;
    outPath = builtins.toFile pname text;
  };
  package = pname: file pname "a stand-in for ${pname}\n";
in
lib.genAttrs [ "bash" "brave" "claude-code" "coreutils" "delta" "git" "jetbrains-mono" "keepassxc" "kitty" "libsecret" "nixfmt-tree" "nodejs" "rclone" "ripgrep" "syncthing" "vscodium" ] package
// {
  inherit lib;
  stdenv.hostPlatform.system = system;
  vscode-extensions = {
    jnoortheen.nix-ide = package "nix-ide";
    golang.go = package "go";
  };
  writeShellScript = file;
}
