{ pkgs, config, ... }:
let
  me = "mitsio";
in
{
  users.mutableUsers = false; #= users.mutableUsers system
  users.users.${me} = {
    isNormalUser = true; #= users.users.mitsio.isNormalUser system
    shell = pkgs.zsh; #= users.users.mitsio.shell system
    extraGroups = [ "wheel" ]; #= users.users.mitsio.extraGroups system
    packages = with pkgs; [ #= users.users.mitsio.packages home > home.packages @keepassxc
      keepassxc
    ];
  };
  users.users.root.hashedPassword = "!"; #= users.users.root.hashedPassword system
  users.users.backup = {
    isSystemUser = true; #= users.users.backup.isSystemUser system
    packages = [ pkgs.kitty ]; #= users.users.backup.packages system
  };
  users.groups.plugdev = { }; #= users.groups.plugdev system
}
