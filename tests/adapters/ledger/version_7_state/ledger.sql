-- A ledger as version 7 wrote it: no later change of ours may reach this file.
PRAGMA application_id = 1413631025;
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE acknowledged (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, symbol TEXT NOT NULL,
        quantity TEXT NOT NULL, origin TEXT NOT NULL, about TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TABLE armings (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, sessions INTEGER NOT NULL,
        first TEXT NOT NULL, last TEXT NOT NULL, until TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TABLE baselines (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        body TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TABLE book (
        account TEXT NOT NULL PRIMARY KEY, created_at TEXT NOT NULL, opening_cash TEXT, opened_at TEXT,
        journal_sequence INTEGER NOT NULL, journal_hash TEXT NOT NULL DEFAULT '', rebuilt TEXT,
        rows INTEGER NOT NULL DEFAULT 0, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
INSERT INTO "book" VALUES('SBX000000042','2026-01-05T15:00:00.000000Z','100000.01','2026-01-05T15:00:00.000000Z',8,'9f817aad8cc34387365bc8c6b7dc2fea3b116c003cc627f753544960f0cd3f23',NULL,7,1,'7260f47d70a06bbe6c79dd7b3899ef54');
CREATE TABLE cash_adjustments (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, amount TEXT NOT NULL,
        origin TEXT NOT NULL, about TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,
        happened_at TEXT, symbol TEXT, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
INSERT INTO "cash_adjustments" VALUES('SBX000000042',1,'12.5','activity','20260105::d1','DIV','DIV/CDIV AAPL +12.5 USD of 2026-01-05','2026-01-05T15:03:00.000000Z','2026-01-05T15:02:00.000000Z','AAPL',1,'e97831225755bf8c550c0575a90a0407');
INSERT INTO "cash_adjustments" VALUES('SBX000000042',2,'3.25','plan','plan-0123abcd','','plan-0123abcd accepted by ann/1','2026-01-05T15:04:00.000000Z',NULL,NULL,1,'f85e3797187278e3afbb18ea5abdb25b');
INSERT INTO "cash_adjustments" VALUES('SBX000000042',3,'-1.5','activity','20260105::f1','FEE','FEE AAPL -1.5 USD of 2026-01-05','2026-01-05T15:05:00.000000Z','2026-01-05T15:01:00.000000Z','AAPL',1,'729cba4d8ad1e74ddb6bc8ef0cded695');
CREATE TABLE checkpoints (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, at TEXT NOT NULL, fills INTEGER NOT NULL, sum TEXT NOT NULL,
        body TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
CREATE TABLE equity_peak (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, highest TEXT NOT NULL, seen_once TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
CREATE TABLE fill_seals (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, fills INTEGER NOT NULL, sum TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
INSERT INTO "fill_seals" VALUES('SBX000000042',2,'657dad2fbeddb0f9f1d15d2519ad4908',1,'ef96196b267e9942439fb70680ccd504');
CREATE TABLE fills (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, activity_id TEXT NOT NULL,
        strategy TEXT NOT NULL, venue_order_id TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
        applied_at TEXT NOT NULL, origin TEXT NOT NULL, about TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, activity_id)
    ) WITHOUT ROWID;
INSERT INTO "fills" VALUES('SBX000000042',1,'a1','flow','v1','2026-01-05T15:00:00.000000Z','{"strategy":"flow","fill":{"activity_id":"a1","venue_order_id":"v1","symbol":"AAPL","side":"buy","quantity":"1","price":"187.21","at":"2026-01-05T15:00:00.000000Z"},"origin":"venue","about":""}','2026-01-05T15:02:00.000000Z','venue','',1,'0905d46809e0e395f3ef4d1a38bec39b');
INSERT INTO "fills" VALUES('SBX000000042',2,'a2','flow','v1','2026-01-05T15:01:00.000000Z','{"strategy":"flow","fill":{"activity_id":"a2","venue_order_id":"v1","symbol":"AAPL","side":"buy","quantity":"1","price":"187.21","at":"2026-01-05T15:01:00.000000Z"},"origin":"venue","about":""}','2026-01-05T15:02:00.000000Z','venue','',1,'6c787947b73d536c023e103f21138a93');
CREATE TABLE high_water (
        account TEXT NOT NULL REFERENCES book, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        opened_at TEXT NOT NULL, price TEXT NOT NULL, worst TEXT, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, strategy, symbol, opened_at)
    ) WITHOUT ROWID;
CREATE TABLE intents (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, client_order_id TEXT NOT NULL,
        session TEXT NOT NULL, state TEXT NOT NULL, intent TEXT NOT NULL, verdicts TEXT NOT NULL, code TEXT,
        message TEXT, updated_at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, client_order_id)
    ) WITHOUT ROWID;
CREATE TABLE last_reconcile (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, at TEXT NOT NULL, blocking INTEGER NOT NULL,
        findings INTEGER NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
CREATE TABLE orders (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, venue_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL, replaced_by TEXT, terminal INTEGER NOT NULL,
        promised INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL, applied_at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence), UNIQUE (account, venue_id)
    ) WITHOUT ROWID;
CREATE TABLE sessions (
        account TEXT NOT NULL REFERENCES book, date TEXT NOT NULL, open TEXT NOT NULL, close TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, date)
    ) WITHOUT ROWID;
CREATE TABLE slots (
        account TEXT NOT NULL REFERENCES book, job TEXT NOT NULL, session TEXT NOT NULL, slot TEXT NOT NULL,
        holder TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, job, session, slot)
    ) WITHOUT ROWID;
CREATE TABLE trade_notes (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        opened_at TEXT NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
INSERT INTO "trade_notes" VALUES('SBX000000042',1,'flow','AAPL','2026-01-05T15:00:00.000000Z','["sweep"]','kept','ann','2026-01-05T15:06:00.000000Z',1,'be4a23524e07a4ec3c02305a4ea2b2f3');
CREATE TABLE trading_states (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, state TEXT NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL, causes TEXT, accepted_at TEXT, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE INDEX intents_by_session ON intents (account, session);
CREATE INDEX intents_by_state ON intents (account, state);
CREATE INDEX intents_by_target ON intents (account, intent ->> '$.target_venue_id')
        WHERE intent ->> '$.target_venue_id' IS NOT NULL;
CREATE INDEX orders_working ON orders (account, terminal);
CREATE INDEX orders_by_time ON orders (account, applied_at);
CREATE INDEX orders_unpromised ON orders (account, sequence) WHERE promised = 0;
CREATE INDEX orders_by_client_order_id ON orders (account, client_order_id);
CREATE INDEX orders_replaced ON orders (account, replaced_by);
CREATE INDEX fills_by_time ON fills (account, at);
CREATE INDEX fills_by_order ON fills (account, venue_order_id);
CREATE INDEX fills_with_others ON fills (account, sequence)
        WHERE strategy = '' OR origin IN ('given_back', 'taken_over');
CREATE INDEX slots_by_session ON slots (account, session);
CREATE TRIGGER book_added AFTER INSERT ON book BEGIN UPDATE book SET row_sum = row_sum('book', CAST(NEW.account AS BLOB), CAST(NEW.created_at AS BLOB), CAST(NEW.opening_cash AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.journal_sequence AS BLOB), CAST(NEW.journal_hash AS BLOB), CAST(NEW.rebuilt AS BLOB), CAST(NEW.rows AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER book_changed AFTER UPDATE OF account, created_at, opening_cash, opened_at, journal_sequence, journal_hash, rebuilt, rows, schema ON book BEGIN UPDATE book SET row_sum = row_sum('book', CAST(NEW.account AS BLOB), CAST(NEW.created_at AS BLOB), CAST(NEW.opening_cash AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.journal_sequence AS BLOB), CAST(NEW.journal_hash AS BLOB), CAST(NEW.rebuilt AS BLOB), CAST(NEW.rows AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER intents_added AFTER INSERT ON intents BEGIN UPDATE intents SET row_sum = row_sum('intents', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.client_order_id AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.intent AS BLOB), CAST(NEW.verdicts AS BLOB), CAST(NEW.code AS BLOB), CAST(NEW.message AS BLOB), CAST(NEW.updated_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER intents_changed AFTER UPDATE OF account, sequence, client_order_id, session, state, intent, verdicts, code, message, updated_at, schema ON intents BEGIN UPDATE intents SET row_sum = row_sum('intents', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.client_order_id AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.intent AS BLOB), CAST(NEW.verdicts AS BLOB), CAST(NEW.code AS BLOB), CAST(NEW.message AS BLOB), CAST(NEW.updated_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER orders_added AFTER INSERT ON orders BEGIN UPDATE orders SET row_sum = row_sum('orders', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.venue_id AS BLOB), CAST(NEW.client_order_id AS BLOB), CAST(NEW.replaced_by AS BLOB), CAST(NEW.terminal AS BLOB), CAST(NEW.promised AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER orders_changed AFTER UPDATE OF account, sequence, venue_id, client_order_id, replaced_by, terminal, promised, body, applied_at, schema ON orders BEGIN UPDATE orders SET row_sum = row_sum('orders', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.venue_id AS BLOB), CAST(NEW.client_order_id AS BLOB), CAST(NEW.replaced_by AS BLOB), CAST(NEW.terminal AS BLOB), CAST(NEW.promised AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER fills_added AFTER INSERT ON fills BEGIN UPDATE fills SET row_sum = row_sum('fills', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.activity_id AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.venue_order_id AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; UPDATE fill_seals SET sum = combined_sum(sum, row_sum('fills', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.activity_id AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.venue_order_id AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.schema AS BLOB))), fills = fills + 1; END;
CREATE TRIGGER fills_changed AFTER UPDATE OF account, sequence, activity_id, strategy, venue_order_id, at, body, applied_at, origin, about, schema ON fills BEGIN UPDATE fills SET row_sum = row_sum('fills', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.activity_id AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.venue_order_id AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE fill_seals SET sum = combined_sum(sum, OLD.row_sum, row_sum('fills', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.activity_id AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.venue_order_id AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.schema AS BLOB))); END;
CREATE TRIGGER fill_seals_added AFTER INSERT ON fill_seals BEGIN UPDATE fill_seals SET row_sum = row_sum('fill_seals', CAST(NEW.account AS BLOB), CAST(NEW.fills AS BLOB), CAST(NEW.sum AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER fill_seals_changed AFTER UPDATE OF account, fills, sum, schema ON fill_seals BEGIN UPDATE fill_seals SET row_sum = row_sum('fill_seals', CAST(NEW.account AS BLOB), CAST(NEW.fills AS BLOB), CAST(NEW.sum AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER checkpoints_added AFTER INSERT ON checkpoints BEGIN UPDATE checkpoints SET row_sum = row_sum('checkpoints', CAST(NEW.account AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.fills AS BLOB), CAST(NEW.sum AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER checkpoints_changed AFTER UPDATE OF account, at, fills, sum, body, schema ON checkpoints BEGIN UPDATE checkpoints SET row_sum = row_sum('checkpoints', CAST(NEW.account AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.fills AS BLOB), CAST(NEW.sum AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER cash_adjustments_added AFTER INSERT ON cash_adjustments BEGIN UPDATE cash_adjustments SET row_sum = row_sum('cash_adjustments', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.amount AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.kind AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.happened_at AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER cash_adjustments_changed AFTER UPDATE OF account, sequence, amount, origin, about, kind, why, at, happened_at, symbol, schema ON cash_adjustments BEGIN UPDATE cash_adjustments SET row_sum = row_sum('cash_adjustments', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.amount AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.kind AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.happened_at AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER trading_states_added AFTER INSERT ON trading_states BEGIN UPDATE trading_states SET row_sum = row_sum('trading_states', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.causes AS BLOB), CAST(NEW.accepted_at AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER trading_states_changed AFTER UPDATE OF account, sequence, state, who, why, causes, accepted_at, at, schema ON trading_states BEGIN UPDATE trading_states SET row_sum = row_sum('trading_states', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.causes AS BLOB), CAST(NEW.accepted_at AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER armings_added AFTER INSERT ON armings BEGIN UPDATE armings SET row_sum = row_sum('armings', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.sessions AS BLOB), CAST(NEW.first AS BLOB), CAST(NEW.last AS BLOB), CAST(NEW.until AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER armings_changed AFTER UPDATE OF account, sequence, sessions, first, last, until, who, at, schema ON armings BEGIN UPDATE armings SET row_sum = row_sum('armings', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.sessions AS BLOB), CAST(NEW.first AS BLOB), CAST(NEW.last AS BLOB), CAST(NEW.until AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER slots_added AFTER INSERT ON slots BEGIN UPDATE slots SET row_sum = row_sum('slots', CAST(NEW.account AS BLOB), CAST(NEW.job AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.slot AS BLOB), CAST(NEW.holder AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND job = NEW.job AND session = NEW.session AND slot = NEW.slot; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER slots_changed AFTER UPDATE OF account, job, session, slot, holder, at, schema ON slots BEGIN UPDATE slots SET row_sum = row_sum('slots', CAST(NEW.account AS BLOB), CAST(NEW.job AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.slot AS BLOB), CAST(NEW.holder AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND job = NEW.job AND session = NEW.session AND slot = NEW.slot; END;
CREATE TRIGGER sessions_added AFTER INSERT ON sessions BEGIN UPDATE sessions SET row_sum = row_sum('sessions', CAST(NEW.account AS BLOB), CAST(NEW.date AS BLOB), CAST(NEW.open AS BLOB), CAST(NEW.close AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND date = NEW.date; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER sessions_changed AFTER UPDATE OF account, date, open, close, schema ON sessions BEGIN UPDATE sessions SET row_sum = row_sum('sessions', CAST(NEW.account AS BLOB), CAST(NEW.date AS BLOB), CAST(NEW.open AS BLOB), CAST(NEW.close AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND date = NEW.date; END;
CREATE TRIGGER last_reconcile_added AFTER INSERT ON last_reconcile BEGIN UPDATE last_reconcile SET row_sum = row_sum('last_reconcile', CAST(NEW.account AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.blocking AS BLOB), CAST(NEW.findings AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER last_reconcile_changed AFTER UPDATE OF account, at, blocking, findings, schema ON last_reconcile BEGIN UPDATE last_reconcile SET row_sum = row_sum('last_reconcile', CAST(NEW.account AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.blocking AS BLOB), CAST(NEW.findings AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER high_water_added AFTER INSERT ON high_water BEGIN UPDATE high_water SET row_sum = row_sum('high_water', CAST(NEW.account AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.price AS BLOB), CAST(NEW.worst AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND strategy = NEW.strategy AND symbol = NEW.symbol AND opened_at = NEW.opened_at; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER high_water_changed AFTER UPDATE OF account, strategy, symbol, opened_at, price, worst, schema ON high_water BEGIN UPDATE high_water SET row_sum = row_sum('high_water', CAST(NEW.account AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.price AS BLOB), CAST(NEW.worst AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND strategy = NEW.strategy AND symbol = NEW.symbol AND opened_at = NEW.opened_at; END;
CREATE TRIGGER acknowledged_added AFTER INSERT ON acknowledged BEGIN UPDATE acknowledged SET row_sum = row_sum('acknowledged', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.quantity AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER acknowledged_changed AFTER UPDATE OF account, sequence, symbol, quantity, origin, about, why, at, schema ON acknowledged BEGIN UPDATE acknowledged SET row_sum = row_sum('acknowledged', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.quantity AS BLOB), CAST(NEW.origin AS BLOB), CAST(NEW.about AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER trade_notes_added AFTER INSERT ON trade_notes BEGIN UPDATE trade_notes SET row_sum = row_sum('trade_notes', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.tags AS BLOB), CAST(NEW.note AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER trade_notes_changed AFTER UPDATE OF account, sequence, strategy, symbol, opened_at, tags, note, who, at, schema ON trade_notes BEGIN UPDATE trade_notes SET row_sum = row_sum('trade_notes', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.tags AS BLOB), CAST(NEW.note AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER baselines_added AFTER INSERT ON baselines BEGIN UPDATE baselines SET row_sum = row_sum('baselines', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.fingerprint AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER baselines_changed AFTER UPDATE OF account, sequence, fingerprint, body, who, at, schema ON baselines BEGIN UPDATE baselines SET row_sum = row_sum('baselines', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.fingerprint AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER equity_peak_added AFTER INSERT ON equity_peak BEGIN UPDATE equity_peak SET row_sum = row_sum('equity_peak', CAST(NEW.account AS BLOB), CAST(NEW.highest AS BLOB), CAST(NEW.seen_once AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER equity_peak_changed AFTER UPDATE OF account, highest, seen_once, schema ON equity_peak BEGIN UPDATE equity_peak SET row_sum = row_sum('equity_peak', CAST(NEW.account AS BLOB), CAST(NEW.highest AS BLOB), CAST(NEW.seen_once AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
COMMIT;
