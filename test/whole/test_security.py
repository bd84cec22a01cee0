# SPDX-License-Identifier: MIT
"""
Secrets, servers and rights

What is set comes back as far as it may, survives a restart where it is to be kept, and
is found nowhere that others can look.
"""
import os

import pytest

import bed

ANY = 0xFFFFFFFF
NOT_SUPPORTED, INVALID = 50, 87
ISNS_NOT_FOUND, NO_AUTH_INFO, SHORT_CHAP = 0xEFFF003A, 0xEFFF0034, 0xAFFF0048


def refused(call, *args, **parameters):
    with pytest.raises(bed.Refused) as e:
        call(*args, **parameters)
    return e.value


def restart(service):
    assert service.stop() == 0
    service.start()


def files_with(directory, wanted):
    found = []
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    if wanted in f.read():
                        found.append(os.path.relpath(path, directory))
    return found


# ---- servers --------------------------------------------------------------


def test_radius_servers(service):
    assert service.varlink("ListRadiusServers") == {"servers": []}
    for address in ("radius.example", "192.0.2.7", "2001:db8::7", "radius.example"):
        service.varlink("AddRadiusServer", address=address)
    restart(service)
    assert service.varlink("ListRadiusServers")["servers"] == ["radius.example", "192.0.2.7", "2001:db8::7"]
    service.varlink("RemoveRadiusServer", address="RADIUS.example")
    assert service.varlink("ListRadiusServers")["servers"] == ["192.0.2.7", "2001:db8::7"]
    assert refused(service.varlink, "RemoveRadiusServer", address="radius.example").code == INVALID
    for bad in ("", "a b", "x" * 40, "a/b", "ä"):
        assert refused(service.varlink, "AddRadiusServer", address=bad).code == INVALID


def test_isns_servers_are_kept_and_not_asked(service):
    service.varlink("RefreshIsnsServer", address=None)
    assert service.varlink("ListTargets", forceUpdate=True)["status"] == 0
    e = refused(service.varlink, "AddIsnsServer", address="isns.example")
    assert e.code == NOT_SUPPORTED and "in the list" in e.parameters["text"]
    restart(service)
    assert service.varlink("ListIsnsServers") == {"servers": ["isns.example"]}
    assert refused(service.varlink, "RefreshIsnsServer", address="isns.example").code == NOT_SUPPORTED
    assert refused(service.varlink, "RefreshIsnsServer", address=None).code == NOT_SUPPORTED
    assert refused(service.varlink, "RefreshIsnsServer", address="other.example").code == ISNS_NOT_FOUND
    assert service.varlink("ListTargets", forceUpdate=True)["status"] == 0xAFFF002E
    service.varlink("RemoveIsnsServer", address="isns.example")
    assert refused(service.varlink, "RemoveIsnsServer", address="isns.example").code == ISNS_NOT_FOUND
    assert service.varlink("ListIsnsServers") == {"servers": []}


# ---- secrets --------------------------------------------------------------

CHAP, RADIUS, GROUP, IKE = b"chap-initiator-1", b"radius-secret-of-26-bytes!", b"the group's key", b"the identity's key"
IDENTITY = {"idType": 2, "id": b"host.example".hex()}


def ike(service, method="GetIkeInfo", **more):
    return service.varlink(method, initiatorInstance=None, initiatorPort=ANY, authMethod=1, identity=IDENTITY, **more)


def test_secrets_are_in_the_store_alone(service):
    service.varlink("SetChapSecret", secret=CHAP.hex())
    service.varlink("SetRadiusSecret", secret=RADIUS.hex())
    service.varlink("SetGroupKey", key=GROUP.hex(), persist=True)
    ike(service, "SetIkeInfo", securityFlags=0x23, key=IKE.hex(), persist=True)
    restart(service)
    assert ike(service) == {"securityFlags": 0x23}
    for secret in (CHAP, RADIUS, GROUP, IKE):
        (name,) = files_with(service.state, secret)
        assert os.stat(os.path.join(service.state, name)).st_mode & 0o777 == 0o600
        assert secret.hex() not in service.log() and secret.decode() not in service.log()
    service.varlink("SetChapSecret", secret=None)
    service.varlink("SetRadiusSecret", secret=None)
    service.varlink("SetGroupKey", key=None, persist=True)
    ike(service, "SetIkeInfo", securityFlags=0, key=None, persist=True)
    assert refused(ike, service).code == NO_AUTH_INFO
    for secret in (CHAP, RADIUS, GROUP, IKE):
        assert files_with(service.directory, secret) == []


def test_secrets_that_are_not_kept(service):
    service.varlink("SetGroupKey", key=GROUP.hex(), persist=False)
    ike(service, "SetIkeInfo", securityFlags=0x23, key=IKE.hex(), persist=False)
    service.varlink("SetTunnelAddress", initiatorInstance=None, initiatorPort=ANY, destinationAddress=None, outerAddress="192.0.2.1", persist=False)
    assert ike(service) == {"securityFlags": 0x23}
    for secret in (GROUP, IKE, b"192.0.2.1"):
        assert files_with(service.state, secret) == []
    restart(service)
    assert refused(ike, service).code == NO_AUTH_INFO


def test_secrets_of_a_wrong_form(service):
    assert refused(service.varlink, "SetChapSecret", secret="00" * 17).code == 0xEFFF004C
    assert refused(service.varlink, "SetChapSecret", secret="00" * 11).code == SHORT_CHAP
    assert refused(service.varlink, "SetRadiusSecret", secret="00" * 21).code == INVALID
    for bad in ("0", "xx", 5):
        e = refused(service.varlink, "SetChapSecret", secret=bad)
        assert e.code == INVALID and "secret" in e.parameters["text"]
    assert refused(service.varlink, "SetGroupKey", key="00" * 256, persist=True).code == INVALID
    assert refused(service.varlink, "GetIkeInfo", initiatorInstance=None, initiatorPort=ANY, authMethod=2, identity=IDENTITY).code == 0xEFFF0037
    for identity, code in (({"idType": 4, "id": "00"}, 0xEFFF0030), ({"idType": 1, "id": "00"}, 0xEFFF0031), ({"idType": 2}, 0xEFFF0031),
                           (None, INVALID), ({"idType": 2, "id": "00", "x": 1}, INVALID)):  # fmt: skip
        e = refused(service.varlink, "GetIkeInfo", initiatorInstance=None, initiatorPort=ANY, authMethod=1, identity=identity)
        assert e.code == code, identity
    assert refused(service.varlink, "SetTunnelAddress", initiatorInstance=None, initiatorPort=ANY, destinationAddress="a b", outerAddress=None,
                   persist=True).code == INVALID  # fmt: skip


# ---- CHAP ---------------------------------------------------------------------

ALICE, TARGET_SIDE = b"alice-secret-12", b"proof-of-target"
AUTH_FAILED = 0xEFFF0009


def option(username=None, password=None, auth=1, flags=0):
    o = {"informationSpecified": 0x80, "loginFlags": flags, "authType": auth}
    if username is not None:
        o["informationSpecified"] |= 0x20
        o["username"] = username.hex()
    if password is not None:
        o["informationSpecified"] |= 0x40
        o["password"] = password.hex()
    return o


@pytest.fixture
def guarded(tgt):
    """A target that asks for alice's secret, and proves that it knows the one for itself."""
    tgt.do("--op", "new", "--mode", "account", "--user", "alice", "--password", ALICE.decode())
    tgt.do("--op", "new", "--mode", "account", "--user", "target", "--password", TARGET_SIDE.decode())
    tgt.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", "alice")
    return tgt


def portal_of(tgt):
    return {"symbolicName": "", "address": "127.0.0.1", "socket": tgt.port}


def add_portal(service, tgt, options=None):
    service.varlink("AddSendTargetPortal", initiatorInstance=None, initiatorPort=ANY, loginOptions=options, securityFlags=0, portal=portal_of(tgt))


def login(service, tgt, options, **more):
    parameters = dict(targetName=tgt.name, informational=True, initiatorInstance=None, initiatorPort=ANY, portal=None, securityFlags=0,
                      loginOptions=options, key=None, persistent=False, mapping=None)  # fmt: skip
    return service.varlink("Login", **{**parameters, **more})["sessionId"]


def test_chap_one_way(service, guarded):
    add_portal(service, guarded)
    for bad in (None, option(b"alice", b"not-her-secret!"), option(b"bob", ALICE), option(None, ALICE), option(b"alice")):
        assert refused(login, service, guarded, bad).code == AUTH_FAILED, bad
    session = login(service, guarded, option(b"alice", ALICE), informational=False)
    disk = service.device(session)
    with open(disk, "r+b", buffering=0) as f:
        f.write(b"x" * 4096)
        os.fsync(f.fileno())
    service.logout(session)
    assert ALICE.decode() not in service.log() and ALICE.hex() not in service.log()


def test_chap_with_the_node_name_as_the_user(service, tgt):
    name = service.varlink("GetNodeName")["name"]
    tgt.do("--op", "new", "--mode", "account", "--user", name, "--password", ALICE.decode())
    tgt.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", name)
    add_portal(service, tgt)
    for options in (option(None, ALICE), option(b"", ALICE)):
        service.logout(login(service, tgt, options))


def test_chap_mutual(service, guarded):
    guarded.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", "target", "--outgoing")
    add_portal(service, guarded)
    mutual = option(b"alice", ALICE, auth=2)
    e = refused(login, service, guarded, mutual)
    assert e.code == 0xEFFF004C and "CHAPSecret" in e.parameters["text"]
    refused(service.varlink, "SetChapSecret", secret=b"short".hex())
    assert refused(login, service, guarded, mutual).code == 0xEFFF004C
    service.varlink("SetChapSecret", secret=ALICE.hex())
    assert refused(login, service, guarded, mutual).code == 0xEFFF004A
    service.varlink("SetChapSecret", secret=b"another-secret".hex())
    assert refused(login, service, guarded, mutual).code == AUTH_FAILED
    assert guarded.sessions() == 0
    service.varlink("SetChapSecret", secret=TARGET_SIDE.hex())
    service.logout(login(service, guarded, mutual))


def test_chap_secrets_of_a_wrong_length_do_not_reach_the_target(service, guarded):
    add_portal(service, guarded)
    for n in (1, 11, 17, 255):
        assert refused(login, service, guarded, option(b"alice", b"x" * n)).code == 0xEFFF004B
    assert refused(login, service, guarded, option(b"al\0ce", ALICE)).code == 0xEFFF004D
    assert refused(login, service, guarded, option(b"alice", ALICE, auth=3)).code == 0xEFFF004E


def test_what_is_not_built_is_refused_at_the_login(service, tgt):
    add_portal(service, tgt)
    for flags in (0x10, 0x20, 0x30):
        e = refused(login, service, tgt, option(b"alice", ALICE, flags=flags))
        assert e.code == 0xEFFF0037 and "RADIUS" in e.parameters["text"]
    assert refused(login, service, tgt, option(auth=0, flags=1)).code == 0xEFFF0046
    assert refused(login, service, tgt, None, securityFlags=3).code == 0xEFFF0046
    service.logout(login(service, tgt, None, securityFlags=2))  # not VALID: not looked at
    # a persistent login is stored as it is; it is refused when it is carried out
    service.varlink("Login", targetName=tgt.name, informational=True, initiatorInstance=None, initiatorPort=ANY, portal=None, securityFlags=3,
                    loginOptions=None, key=b"key".hex(), persistent=True, mapping=None)  # fmt: skip


def test_a_target_must_ask_for_the_authentication_that_was_asked_for(service, tgt):
    assert refused(add_portal, service, tgt, option(b"alice", ALICE)).code == AUTH_FAILED
    add_portal(service, tgt)
    assert refused(login, service, tgt, option(b"alice", ALICE)).code == AUTH_FAILED
    service.varlink("SetChapSecret", secret=TARGET_SIDE.hex())
    assert refused(login, service, tgt, option(b"alice", ALICE, auth=2)).code == AUTH_FAILED
    assert tgt.sessions() == 0


def test_chap_in_discovery(service, guarded):
    guarded.admin("--op", "bind", "--mode", "account", "--user", "alice")
    for bad in (None, option(b"alice", b"not-her-secret!")):
        assert refused(add_portal, service, guarded, bad).code == AUTH_FAILED
        assert service.varlink("ListTargets", forceUpdate=False)["targets"] == []
    add_portal(service, guarded, option(b"alice", ALICE))
    assert service.varlink("ListTargets", forceUpdate=False)["targets"] == [guarded.name]
    (portal,) = service.varlink("ListSendTargetPortals")["portals"]
    assert portal["loginOptions"]["username"] == b"alice".hex() and "password" not in portal["loginOptions"]
    assert portal["loginOptions"]["informationSpecified"] == 0xE0


def test_chap_of_a_stored_login_and_after_a_lost_connection(service, guarded):
    guarded.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", "target", "--outgoing")
    add_portal(service, guarded)
    service.varlink("SetChapSecret", secret=TARGET_SIDE.hex())
    login(service, guarded, option(b"alice", ALICE, auth=2), persistent=True)
    restart(service)
    bed.wait_for(service.sessions, 20, "the stored login")
    # the session keeps what it was logged in with
    service.varlink("SetChapSecret", secret=None)
    guarded.restart()
    bed.wait_for(lambda: guarded.sessions() == 1 and service.sessions()[0]["state"] == "up", 30, "the session to come back")


def test_a_connection_is_as_the_session(service, tgt):
    """Not less than was asked for; and the session's secrets are the only ones."""
    tgt.setting("MaxConnections", 4)
    add_portal(service, tgt)
    session = login(service, tgt, {"informationSpecified": 0x04, "loginFlags": 0, "maximumConnections": 2})
    e = refused(service.varlink, "AddConnection", sessionId=session, initiatorPort=ANY, portal=None, securityFlags=0, loginOptions=option(b"alice", ALICE), key=None)
    assert e.code == 0xEFFF004E
    service.logout(session)


def test_a_connection_has_the_names_and_secrets_of_the_session(service, guarded):
    guarded.setting("MaxConnections", 4)
    add_portal(service, guarded)
    chap = option(b"alice", ALICE)
    session = login(service, guarded, {**chap, "informationSpecified": chap["informationSpecified"] | 0x04, "maximumConnections": 0})

    def add(options):
        return service.varlink("AddConnection", sessionId=session, initiatorPort=ANY, portal=None, securityFlags=0, loginOptions=options, key=None)

    assert refused(add, option(b"bob", ALICE)).code == 0xEFFF004D
    e = refused(add, option(b"alice", ALICE + b"x"))
    assert e.code == 0xEFFF004B and ALICE.decode() not in str(e.parameters)
    assert len(service.sessions()[0]["connections"]) == 1
    for same in (chap, None, {"informationSpecified": 0, "loginFlags": 0}):
        add(same)
    assert len(service.sessions()[0]["connections"]) == 4
    service.logout(session)


# ---- memory -------------------------------------------------------------------


def memory_with(pid, secrets):
    """Those of the secrets that a process has somewhere in what it may write."""
    found = set()
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or "[vvar" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(start)
                got = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            found |= {s for s in secrets if s in got}
    return found


def forms(secret):
    return secret, secret.hex().encode()


def test_no_secret_is_left_in_memory(service, guarded):
    if "ASAN_OPTIONS" in os.environ and "detect_leaks=1" in os.environ["ASAN_OPTIONS"]:
        pytest.skip("a sanitizer keeps what was freed")
    guarded.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", "target", "--outgoing")
    add_portal(service, guarded)
    service.varlink("SetChapSecret", secret=TARGET_SIDE.hex())
    service.varlink("SetRadiusSecret", secret=RADIUS.hex())
    service.varlink("SetGroupKey", key=GROUP.hex(), persist=True)
    ike(service, "SetIkeInfo", securityFlags=0x23, key=IKE.hex(), persist=True)
    session = login(service, guarded, option(b"alice", ALICE, auth=2))
    # the engine has it, for the next login: the search finds what is there
    assert ALICE in memory_with(service.pid, (ALICE,))
    login(service, guarded, option(b"alice", ALICE, auth=2), persistent=True)
    service.logout(session)
    left = memory_with(service.pid, [f for s in (ALICE, TARGET_SIDE, RADIUS, GROUP, IKE) for f in forms(s)])
    assert not left


# ---- as scripts do it -----------------------------------------------------------


def test_chap_with_iscsicli(service, guarded):
    guarded.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", "target", "--outgoing")
    service.cli("AddTargetPortal", "127.0.0.1", guarded.port, check=0)
    assert service.cli("QLoginTarget", guarded.name, check=1).last == "Authentication Failure. "
    service.cli("CHAPSecret", TARGET_SIDE.decode(), check=0)
    # flags, digests, connections, times, name, password, 2: mutual CHAP
    options = ("0", "0", "0", "*", "*", "*", "alice", ALICE.decode(), "2")
    session = service.login_at(guarded.name, guarded.port, options=options)
    assert service.device(session)
    service.logout(session)
    service.cli("CHAPSecret", "*", check=0)
    r = service.cli("LoginTarget", guarded.name, "T", "127.0.0.1", guarded.port, "*", "*", "*", *options, "*", "0", check=1)
    assert "secret" in r.out and ALICE.decode() not in r.out


def test_ike_with_iscsicli(service):
    """What the command line stores is what it finds again, and what varlink does."""
    service.cli("PSKey", "*", "*", "0x23", "2", "host.example", "a preshared key", "T", check=0)
    assert ike(service) == {"securityFlags": 0x23}
    assert "0x23" in service.cli("GetPSKey", "*", "*", "2", "host.example", check=0).out
    service.cli("PSKey", "*", "*", "0", "2", "host.example", "*", "T", check=0)
    assert refused(ike, service).code == NO_AUTH_INFO
    service.cli("PSKey", "*", "*", "3", "1", "192.0.2.1", "a preshared key", "T", check=0)
    address = {"idType": 1, "id": "c0000201"}
    assert service.varlink("GetIkeInfo", initiatorInstance=None, initiatorPort=ANY, authMethod=1, identity=address) == {"securityFlags": 3}
