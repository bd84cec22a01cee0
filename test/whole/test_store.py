# SPDX-License-Identifier: MIT
"""
What is stored: over versions of the service, and over its sudden end

The unit tests end each change at each of its writes; here the whole service is ended,
and what it says afterwards is looked at.
"""
import contextlib
import os
import random
import sqlite3
import threading
import time

from bed import SOURCE, Process, Refused, Varlink

ANY_PORT = 0xFFFFFFFF
INSTANCE = "Root\\ISCSIPRT\\0000_0"
NO_LOGINS = "[service]\nkept_logins = no\n"


def state_db(service):
    return contextlib.closing(sqlite3.connect(os.path.join(service.state, "state.db")))


def make_version_1(service):
    """As the service of then has left it."""
    os.mkdir(service.state, 0o700)
    with state_db(service) as db, open(os.path.join(SOURCE, "test/data/store-1.sql")) as f:
        db.executescript(f.read())


def rows(service, table):
    with state_db(service) as db:
        return db.execute("SELECT * FROM %s ORDER BY 1, 2, 3" % table).fetchall()


OPTIONS = {"informationSpecified": 255, "loginFlags": 2, "authType": 1, "headerDigest": 1, "dataDigest": 0, "maximumConnections": 3,
           "defaultTime2Wait": 4, "defaultTime2Retain": 5, "username": b"user".hex()}  # fmt: skip
NO_OPTIONS = {"informationSpecified": 0, "loginFlags": 0}
OLD_TABLES = ("portal", "login", "secret", "isid")


def look_at_version_1(service):
    assert service.varlink("GetNodeName")["name"] == "iqn.2026-11.local.test:of-version-1"
    assert service.varlink("ListSendTargetPortals")["portals"] == [
        {"initiatorName": "", "initiatorPort": ANY_PORT, "securityFlags": 0x22, "loginOptions": OPTIONS,
         "portal": {"symbolicName": "a label", "address": "127.0.0.1", "socket": 1}},
        {"initiatorName": INSTANCE, "initiatorPort": 3, "securityFlags": 0, "loginOptions": NO_OPTIONS,
         "portal": {"symbolicName": "", "address": "::1", "socket": 2}},
    ]  # fmt: skip
    login = {"informational": False, "initiatorInstance": "", "initiatorPort": ANY_PORT, "securityFlags": 4, "mapping": None}
    assert service.varlink("ListPersistentLogins")["logins"] == [
        {**login, "targetName": "iqn.2026-11.test:one", "loginOptions": OPTIONS,
         "portal": {"symbolicName": "x", "address": "127.0.0.1", "socket": 1}},
        {**login, "targetName": "iqn.2026-11.test:Two", "loginOptions": None, "portal": None},
    ]  # fmt: skip


def test_store_of_version_1(make_service):
    service = make_service(NO_LOGINS, start=False)
    make_version_1(service)
    before = {t: rows(service, t) for t in OLD_TABLES}
    service.start()
    look_at_version_1(service)
    # what came later works on it
    service.varlink("AddRadiusServer", address="radius.example")
    service.varlink("RemovePersistentLogin", initiatorInstance=None, initiatorPort=ANY_PORT, targetName="iqn.2026-11.test:TWO", portal=None)
    assert service.stop() == 0
    assert rows(service, "portal") == before["portal"] and rows(service, "login") == before["login"][:1]
    assert rows(service, "secret") == [r for r in before["secret"] if r[:2] != ("login", 2)]
    # all but when it was used last
    assert {r[:6] for r in before["isid"]} <= {r[:6] for r in rows(service, "isid")}
    service.start()
    assert service.varlink("ListRadiusServers")["servers"] == ["radius.example"]


def test_killed_while_it_takes_over_a_store_of_version_1(make_service):
    service = make_service(NO_LOGINS, start=False)
    make_version_1(service)
    for i in range(12):
        service.process = Process(service.args(), os.path.join(service.directory, "log"), service.env)
        time.sleep(0.003 * i)
        service.kill()
    service.start()
    look_at_version_1(service)


# ---- killed in the midst of changes --------------------------------------------------


def portal(port):
    return {"symbolicName": "p%d" % port, "address": "127.0.0.1", "socket": port}


def change(dice):
    """Some change that does the same when it is done again: its method and parameters."""
    n = dice.randrange(1, 4)
    name = "iqn.2026-11.test.killed:%d" % n
    at = {"initiatorInstance": None, "initiatorPort": ANY_PORT}
    options = {**NO_OPTIONS, "informationSpecified": 0x60, "username": b"user".hex(), "password": os.urandom(12).hex()}
    mapping = {"osBusNumber": 1, "osTargetNumber": n, "luns": [{"osLun": 0, "targetLun": "%016x" % (k << 48)} for k in (dice.randrange(1, 99),)]}
    return dice.choice((
        ("AddSendTargetPortal", {**at, "loginOptions": options, "securityFlags": 2 * dice.randrange(99), "portal": portal(n)}),
        ("RemoveSendTargetPortal", {**at, "portal": portal(n)}),
        ("AddStaticTarget", {"targetName": name, "targetAlias": "a%d" % dice.randrange(99), "targetFlags": 0, "persist": True, "mapping": mapping,
                             "loginOptions": options, "portalGroup": [portal(k) for k in range(1, 2 + dice.randrange(5))]}),
        ("RemoveStaticTarget", {"targetName": name}),
        ("Login", {**at, "targetName": name, "informational": False, "portal": portal(n), "securityFlags": dice.randrange(99) * 2,
                   "loginOptions": options, "key": b"a key".hex(), "persistent": True, "mapping": mapping}),
        ("RemovePersistentLogin", {**at, "targetName": name, "portal": None}),
        ("SetNodeName", {"name": "iqn.2026-11.test:node%d" % dice.randrange(99)}),
        ("SetNodeName", {"name": None}),
        ("AddRadiusServer", {"address": "server%d.example" % n}),
        ("RemoveRadiusServer", {"address": "server%d.example" % n}),
        ("SetChapSecret", {"secret": os.urandom(16).hex()}),
        ("SetIkeInfo", {**at, "authMethod": 1, "identity": {"idType": 2, "id": name.encode().hex()}, "securityFlags": dice.randrange(9),
                        "key": os.urandom(8).hex(), "persist": True}),
    ))  # fmt: skip


def told(service):
    v = {m: service.varlink(m) for m in ("GetNodeName", "ListSendTargetPortals", "ListPersistentLogins", "ListRadiusServers")}
    for name in service.varlink("ListTargets", forceUpdate=False)["targets"]:
        v[name] = service.varlink("GetTargetInformation", targetName=name, discoveryMechanism="Static:*")
    return v


def everything(service):
    """What is told, and what is stored but never told."""
    return told(service), rows(service, "secret"), rows(service, "ike")


def do(service, what):
    """None: it was done, or refused. Else what came in between."""
    try:
        with Varlink(service.socket) as v:
            v.call(what[0], **what[1])
    except Refused:
        pass
    except OSError as e:
        return e
    return None


def test_killed_in_the_midst_of_changes(make_service):
    """A change is there as a whole or not at all; what was answered is there."""
    dice = random.Random(1)
    service = make_service(NO_LOGINS)
    n_cut = 0
    for _ in range(30):
        for _ in range(4):
            do(service, change(dice))
        before, what, trouble = everything(service), change(dice), []
        client = threading.Thread(target=lambda: trouble.append(do(service, what)))
        client.start()
        time.sleep(dice.random() * 0.02)
        service.kill()
        client.join()
        n_cut += trouble[0] is not None
        service.start()
        now = everything(service)
        assert told(service) == now[0]
        if trouble[0] is None or now != before:
            do(service, what)
            assert everything(service) == now, what
    assert n_cut > 0
