# A Linux that is not NixOS.
{
  my.desktop = true;

  # Programs find what is the distribution's: icons, fonts, menus, GPU drivers. When the drivers are
  # new, the activation says which command to run as root.
  targets.genericLinux.enable = true;
}
