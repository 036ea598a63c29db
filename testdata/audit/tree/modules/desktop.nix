{ pkgs, lib, ... }:
with lib;
{
  services = {
    displayManager.sddm.enable = true; #= services.displayManager.sddm.enable system
    desktopManager.plasma6.enable = true; #= services.desktopManager.plasma6.enable system
    redshift.enable = mkDefault true; #= services.redshift.enable home > services.redshift.enable @home
    printing.enable = true; #= services.printing.enable system
  };
  environment.plasma6.excludePackages = [ pkgs.kdePackages.elisa ]; #= environment.plasma6.excludePackages system
  fonts.packages = with pkgs; [ #= fonts.packages home > home.packages @home
    jetbrains-mono
    noto-fonts
  ];
  fonts.fontconfig.defaultFonts.monospace = [ "JetBrains Mono" ]; #= fonts.fontconfig.defaultFonts.monospace home > fonts.fontconfig.defaultFonts.monospace @home
  qt.style = "breeze"; #= qt.style home > qt.style.name @plasma
  xdg.portal.enable = true; #= xdg.portal.enable system
  xdg.mime.defaultApplications."application/pdf" = "okular.desktop"; #= xdg.mime.defaultApplications."application/pdf" home > xdg.mimeApps.defaultApplications."application/pdf" @home
  programs.kdeconnect.enable = true; #= programs.kdeconnect.enable system
  programs.dconf.enable = true; #= programs.dconf.enable system
  environment.etc = {
    "xdg/kwinrc".text = "[Windows]"; #= environment.etc."xdg/kwinrc" home > xdg.configFile.kwinrc @home
    "sddm.conf.d/x.conf".text = ""; #= environment.etc."sddm.conf.d/x.conf" system
  };
  environment.systemPackages = [ #= environment.systemPackages home > home.packages @plasma
    pkgs.kdePackages.kate
    (pkgs.kdePackages.okular.override { })
  ];
}
