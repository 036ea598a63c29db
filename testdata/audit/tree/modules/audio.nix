_: {
  services.pipewire = {
    enable = true; #= services.pipewire.enable system
    pulse.enable = true; #= services.pipewire.pulse.enable system
  };
  security.rtkit.enable = true; #= security.rtkit.enable system
}
