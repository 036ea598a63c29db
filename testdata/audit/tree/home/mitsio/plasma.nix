{ ... }:
{
  programs.plasma.enable = true; #= programs.plasma.enable home > programs.plasma.enable @plasma
  programs.plasma.workspace.theme = "breeze-dark"; #= programs.plasma.workspace.theme home > programs.plasma.workspace.theme @plasma
}
