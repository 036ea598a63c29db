# A Linux in Windows (WSL 2): no desktop of its own, Windows opens what is graphical.
{ lib, ... }:
{
  my.desktop = false;
  my.claude-code.enable = true;
  my.npm.enable = true;

  targets.genericLinux = {
    enable = true;
    gpu.enable = false; # the driver is Windows'
  };

  # wslview, of the distribution's package wslu, opens links and files with what Windows has for them.
  home.sessionVariables.BROWSER = "wslview";
  xdg.mimeApps = {
    enable = true;
    defaultApplications = lib.genAttrs [
      "text/html"
      "x-scheme-handler/http"
      "x-scheme-handler/https"
    ] (_: [ "wslview.desktop" ]);
  };

  home.shellAliases = {
    open = "wslview";
    pbcopy = "clip.exe";
    pbpaste = "powershell.exe -NoProfile -Command Get-Clipboard";
  };
}
