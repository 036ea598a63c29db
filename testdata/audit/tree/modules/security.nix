{
  security.sudo.wheelNeedsPassword = true; #= security.sudo.wheelNeedsPassword system
  security.polkit.enable = true; #= security.polkit.enable system
}
