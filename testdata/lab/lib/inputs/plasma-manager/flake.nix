# A stand-in for plasma-manager: its options are in home-manager's stand-in, with the others.
{
  outputs = _: { homeModules.plasma-manager = { }; };
}
