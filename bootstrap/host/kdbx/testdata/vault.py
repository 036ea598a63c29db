"""Makes vault.xml, the content of all the vaults here, and the vaults that keepassxc-cli cannot make.

    vault.py xml FILE                                   the content
    vault.py vault FILE PASSWORD KDF CIPHER [raw]       a KDBX 4 vault; raw: not compressed
    vault.py recrypt OLD NEW PASSWORD CIPHER            a KDBX 3.1 vault with another cipher
    vault.py large FILE KEY-FILE ENTRIES ATTACHMENTS    Argon2d with 64 MiB and random content, for measuring;
                                                        the key is the key file alone
"""
import base64, copy, hashlib, os, random, sys
from lxml import etree


def uid(n):
    return base64.b64encode(b"made-by-vault.py"[:12] + n.to_bytes(4, "big")).decode()


count = 0


def element(parent, name, text=None, **attributes):
    e = etree.SubElement(parent, name, **attributes)
    e.text = text
    return e


def group(parent, name):
    global count
    count += 1
    g = element(parent, "Group") if parent is not None else etree.Element("Group")
    element(g, "UUID", uid(count))
    element(g, "Name", name)
    return g


def entry(parent, fields, secret=(), history=()):
    global count
    count += 1
    e = element(parent, "Entry")
    element(e, "UUID", uid(count))
    for old in [None, *history]:
        into = e
        if old is not None:
            into = element(e.find("History") if e.find("History") is not None else element(e, "History"), "Entry")
            element(into, "UUID", uid(count))
        for name, value in {**fields, **(old or {})}.items():
            s = element(into, "String")
            element(s, "Key", name)
            v = element(s, "Value", value)
            if name == "Password" or name in secret:
                v.set("ProtectInMemory", "True")
    return e


def content():
    """Entries come before, between and after groups, and protected values in all of them."""
    root = group(None, "Passwords")
    entry(root, dict(Title="root entry", UserName="root", Password="in the root group", URL="", Notes=""))
    api = group(root, "API Keys")
    deep = group(api, "Deep & er")
    entry(deep, dict(Title="<deep>", UserName="ü\"ser'", Password="pä55 <&>\n\t\"ẞ\" 密码 🔑", URL="https://example.org/?a=1&b=2", Notes="line 1\nline 2\n"),
          history=[dict(Password="old one"), dict(Password="older one", Notes="")])
    entry(api, dict(Title="Anthropic", UserName="me", Password="sk-ant-123", URL="", Notes=""), history=[dict(Password="sk-ant-122")])
    entry(api, dict(Title="rclone", UserName="", Password="conf pass", URL="", Notes="", service="rclone", key="config-password"))
    entry(api, dict(Title="restic", UserName="", Password="repo pass", URL="", Notes="", service="restic", key="repo", token="hidden one"), secret=("token", "service"))
    after = group(root, "After")
    entry(root, dict(Title="after a group", UserName="", Password="still in step", URL="", Notes=""))
    entry(after, dict(Title="same", UserName="1", Password="first", URL="", Notes=""))
    entry(api, dict(Title="same", UserName="2", Password="second", URL="", Notes=""))
    entry(after, dict(Title="no password", UserName="", Password="", URL="", Notes=""))
    entry(after, dict(Title="refers", UserName="{REF:U@T:root entry}", Password="a{REF:P@I:%s}z" % base64.b64decode(uid(2)).hex().upper(), URL="", Notes="{REF:P@T:refers back}"))
    entry(after, dict(Title="refers back", UserName="", Password="{REF:N@T:refers}", URL="", Notes="{REF:P@T:nobody}"))
    entry(after, dict(Title="otp uri", UserName="", Password="", URL="", Notes="", otp="otpauth://totp/Example:me?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=30&digits=8&issuer=Example"), secret=("otp",))
    entry(after, {"Title": "otp legacy", "UserName": "", "Password": "", "URL": "", "Notes": "", "TOTP Seed": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "TOTP Settings": "30;6"}, secret=("TOTP Seed",))
    entry(after, dict(Title="otp steam", UserName="", Password="", URL="", Notes="", otp="otpauth://totp/Steam:me?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=30&digits=5&issuer=Steam&encoder=steam"), secret=("otp",))
    return root


def document():
    f = etree.Element("KeePassFile")
    meta = element(f, "Meta")
    element(meta, "Generator", "KeePass")
    element(meta, "DatabaseName", "a test")
    element(meta, "RecycleBinEnabled", "True")
    element(meta, "RecycleBinUUID", uid(999))
    root = content()
    bin = group(root, "Recycle Bin")
    bin.find("UUID").text = uid(999)
    entry(bin, dict(Title="thrown away", UserName="", Password="gone", URL="", Notes=""))
    entry(bin, dict(Title="Anthropic", UserName="", Password="gone too", URL="", Notes=""))
    entry(group(bin, "thrown group"), dict(Title="thrown with it", UserName="", Password="gone", URL="", Notes=""))
    element(f, "Root").append(root)
    return f


def protect(tree):
    for v in tree.iter("Value"):
        if v.attrib.pop("ProtectInMemory", None):
            v.set("Protected", "True")
    return tree


def set_kdf(kp, kdf, memory, passes):
    from construct import Container
    from pykeepass.kdbx_parsing.kdbx4 import kdf_uuids
    d = kp.kdbx.header.value.dynamic_header.kdf_parameters.data.dict
    d["$UUID"].value = kdf_uuids[kdf]
    if kdf == "aeskdf":
        for name in "IMPV":
            del d[name]
        d["$UUID"].next_byte = 5
        d["R"] = Container(type=5, key="R", value=6000, next_byte=0x42)
        d["S"] = d.pop("S")
        d["S"].next_byte = 0
    else:
        d["I"].value, d["M"].value = passes, memory


def set_cipher(header, cipher):
    header["cipher_id"].data = cipher
    header["encryption_iv"].data = os.urandom(12 if cipher == "chacha20" else 16)


def save(kp, file=None):
    """Without this pykeepass writes the header that it has read."""
    kp.kdbx.header.pop("data", None)
    kp.save(file)


def vault(file, password, kdf, cipher, tree, memory=1 << 20, passes=2, raw=False, key_file=None, attach=lambda kp: None):
    from pykeepass import create_database
    kp = create_database(file, password=password, keyfile=key_file)
    header = kp.kdbx.header.value.dynamic_header
    set_kdf(kp, kdf, memory, passes)
    set_cipher(header, cipher)
    if raw:
        header["compression_flags"].data.compression = False
    f = kp.tree.getroot()
    for part in ("Meta", "Root"):
        f.replace(f.find(part), copy.deepcopy(protect(tree).find(part)))
    attach(kp)
    save(kp)


def header_hash(file):
    """Of KDBX 3.1; pykeepass leaves the old one."""
    b = open(file, "rb").read()
    at = 12
    while True:
        end = b[at] == 0
        at += 3 + int.from_bytes(b[at + 1:at + 3], "little")
        if end:
            return base64.b64encode(hashlib.sha256(b[:at]).digest()).decode()


def attachments(kp):
    for name, data in (("id_test", b"-----BEGIN KEY-----\n\x00\xff\n"), ("empty", b""), ("twice ü", bytes(range(256)) * 4)):
        kp.find_entries(title="Anthropic", first=True, path=None).add_attachment(kp.add_binary(data), name)


def main(what, file, *args):
    if what == "xml":
        etree.ElementTree(document()).write(file, xml_declaration=True, encoding="utf-8", pretty_print=True)
    elif what == "vault":
        vault(file, args[0], args[1], args[2], document(), raw="raw" in args, attach=attachments)
    elif what == "recrypt":
        from pykeepass import PyKeePass
        kp = PyKeePass(file, password=args[1])
        set_cipher(kp.kdbx.header.value.dynamic_header, args[2])
        kp.kdbx.header.value.dynamic_header.transform_rounds.data = 6000
        save(kp, args[0])
        kp.tree.find("Meta/HeaderHash").text = header_hash(args[0])
        save(kp, args[0])
    elif what == "large":
        random.seed(1)
        tree = document()
        root = tree.find("Root/Group")
        groups = [group(root, "group %d" % i) for i in range(50)]
        word = lambda n: "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789 äß&<") for _ in range(n))
        for i in range(int(args[1])):
            entry(random.choice(groups), dict(Title="entry %d" % i, UserName=word(12), Password=word(24), URL="https://example.org/" + word(8).strip(), Notes=word(60), service="s%d" % i, key=word(8), token=word(40)),
                  secret=("token",), history=[dict(Password=word(24))] * (i % 3))

        def attach(kp):
            all = [e for g in kp.tree.findall(".//Group") if g.find("Name").text.startswith("group ") for e in g.findall("Entry")]
            for i in range(int(args[2])):
                ref = kp.add_binary(random.randbytes(20000))
                b = element(all[i * 7 % len(all)], "Binary")
                element(b, "Key", "file %d" % i)
                element(b, "Value").set("Ref", str(ref))
        vault(file, None, "argon2", "aes256", tree, 64 << 20, 14, key_file=args[0], attach=attach)
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
