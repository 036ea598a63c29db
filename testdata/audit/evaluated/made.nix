# only evaluating tells most of what is here
args@{ lib, ... }:
{
  networking = { hostName = "one"; };
  programs = lib.genAttrs [ "tmux" ] (_: { enable = true; });
}
