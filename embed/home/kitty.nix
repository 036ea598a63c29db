# The terminal emulator.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.kitty;
in
{
  options.my.kitty.enable = lib.mkEnableOption "kitty" // {
    default = config.my.desktop;
  };

  config = lib.mkIf cfg.enable {
    fonts.fontconfig.enable = true; # fonts in home.packages are found
    home.packages = [ pkgs.jetbrains-mono ];

    programs.kitty = {
      enable = true;
      # On a host that is not NixOS, OpenGL comes from targets.genericLinux.gpu. Where that does not
      # do and targets.genericLinux.nixGL.packages is set, this wraps; else it is pkgs.kitty itself.
      package = config.lib.nixGL.wrap pkgs.kitty;
      font = {
        name = "JetBrains Mono";
        size = 11;
      };
      settings = {
        scrollback_lines = 10000;
        enable_audio_bell = false;
        confirm_os_window_close = 2;
      };
      keybindings = {
        "ctrl+shift+n" = "new_os_window_with_cwd";
        "ctrl+shift+t" = "new_tab_with_cwd";
      };
      # themeFile = "Dracula"; a name of kitty-themes, without .conf
      shellIntegration.enableBashIntegration = true;
    };
  };
}
