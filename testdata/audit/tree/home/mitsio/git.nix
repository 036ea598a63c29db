{
  programs.git = {
    enable = true; #= programs.git.enable home > programs.git.enable @git
    settings.user.name = "Mitsio"; #= programs.git.settings home > programs.git.settings @git
  };
  programs.delta.enable = true; #= programs.delta.enable home > programs.delta.enable @git
}
