# Fedora Kinoite: /usr is read-only and rpm-ostree's; Nix brings the programs.
{
  my.desktop = true;

  # Programs find what is the distribution's: icons, fonts, menus, GPU drivers. When the drivers are
  # new, the activation says which command to run as root.
  targets.genericLinux.enable = true;

  home.shellAliases = {
    rpm-update = "rpm-ostree upgrade"; # it is there after the next boot
    rpm-status = "rpm-ostree status";
  };
}
