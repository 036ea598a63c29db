# The browser, and what opens links.
{ config, lib, ... }:
let
  cfg = config.my.brave;
in
{
  options.my.brave.enable = lib.mkEnableOption "Brave" // {
    default = config.my.desktop;
  };

  config = lib.mkIf cfg.enable {
    programs.brave = {
      enable = true;
      commandLineArgs = [
        "--ozone-platform-hint=auto" # Wayland where there is one
        "--password-store=basic" # KeePassXC has the passwords
      ];
      # By the 32 letters at the end of their page in the Chrome Web Store.
      extensions = [
        { id = "oboonakemofpalcgghocfoadofidjkkk"; } # KeePassXC-Browser; its host program comes with keepassxc.nix
      ];
    };

    xdg.mimeApps = {
      enable = true;
      defaultApplications = lib.genAttrs [
        "text/html"
        "x-scheme-handler/http"
        "x-scheme-handler/https"
      ] (_: [ "brave-browser.desktop" ]);
    };
  };
}
