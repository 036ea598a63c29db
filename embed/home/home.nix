# The same modules on every host, and the host's own file after them.
#
# Each module has a switch, my.NAME.enable. The graphical ones follow my.desktop, so a host
# file says little:  my.desktop = true;  and what it wants otherwise:  my.brave.enable = false;
{
  config,
  lib,
  hostname,
  user,
  ...
}:
{
  imports = [
    ./shell.nix
    ./git.nix
    ./kitty.nix
    ./vscodium.nix
    ./brave.nix
    ./keepassxc.nix
    ./syncthing-myspaces.nix
    ./rclone-gdrive.nix
    ./plasma.nix
    ./plasma-full.nix
    ./claude-code.nix
    ./npm-tools.nix
    ./semantic-grep.nix
    (./hosts + "/${hostname}.nix")
  ];

  options.my = {
    desktop = lib.mkEnableOption "graphical programs on this host";

    unfree = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "Packages that may be used although they are not free, by name.";
    };
  };

  config = {
    home = {
      inherit (user) username;
      homeDirectory = user.home or "/home/${user.username}";

      # What release of home-manager this home began with. It keeps the defaults of that
      # release where they changed since; it is not the version that is used, and stays.
      stateVersion = "26.05";
    };

    # The home-manager command, for those who want it.
    programs.home-manager.enable = true;

    # Without this an unfree package ends the evaluation.
    nixpkgs.config.allowUnfreePredicate = package: lib.elem (lib.getName package) config.my.unfree;

    xdg.enable = true;
    news.display = "silent";
  };
}
