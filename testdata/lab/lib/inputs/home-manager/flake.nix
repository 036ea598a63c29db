# A stand-in for home-manager. Of its module system it has what a home needs: imports, options,
# conditions, priorities. Each definition must be of an option in options.json, which are those
# of the real one, and fit its type. Of what is defined it makes files, but most by a
# rule of its own: what a program's settings are is in ~/.config/settings/PROGRAM.json.
{
  outputs = _: { lib.homeManagerConfiguration = import ./configuration.nix; };
}
