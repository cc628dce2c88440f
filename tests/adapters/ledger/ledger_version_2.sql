-- The tables of a ledger of version 2, as it was written then: no later change of ours may reach this file.
CREATE TABLE book (
        account TEXT NOT NULL PRIMARY KEY, created_at TEXT NOT NULL, opening_cash TEXT, opened_at TEXT,
        journal_sequence INTEGER NOT NULL, journal_hash TEXT NOT NULL DEFAULT '', rebuilt TEXT,
        rows INTEGER NOT NULL DEFAULT 0, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
CREATE TABLE intents (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, client_order_id TEXT NOT NULL,
        session TEXT NOT NULL, state TEXT NOT NULL, intent TEXT NOT NULL, verdicts TEXT NOT NULL, code TEXT,
        message TEXT, updated_at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, client_order_id)
    ) WITHOUT ROWID;
CREATE INDEX intents_by_session ON intents (account, session);
CREATE INDEX intents_by_state ON intents (account, state);
CREATE TABLE orders (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, venue_id TEXT NOT NULL,
        terminal INTEGER NOT NULL, body TEXT NOT NULL, applied_at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence), UNIQUE (account, venue_id)
    ) WITHOUT ROWID;
CREATE INDEX orders_working ON orders (account, terminal);
CREATE TABLE fills (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, activity_id TEXT NOT NULL,
        at TEXT NOT NULL, body TEXT NOT NULL, applied_at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, activity_id)
    ) WITHOUT ROWID;
CREATE TABLE cash_adjustments (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, amount TEXT NOT NULL,
        why TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TABLE trading_states (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, state TEXT NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TABLE armings (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, sessions INTEGER NOT NULL,
        first TEXT NOT NULL, last TEXT NOT NULL, until TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TABLE slots (
        account TEXT NOT NULL REFERENCES book, job TEXT NOT NULL, session TEXT NOT NULL, slot TEXT NOT NULL,
        holder TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, job, session, slot)
    ) WITHOUT ROWID;
CREATE TABLE sessions (
        account TEXT NOT NULL REFERENCES book, date TEXT NOT NULL, open TEXT NOT NULL, close TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, date)
    ) WITHOUT ROWID;
CREATE TABLE last_reconcile (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, at TEXT NOT NULL, blocking INTEGER NOT NULL,
        findings INTEGER NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID;
CREATE TABLE high_water (
        account TEXT NOT NULL REFERENCES book, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        opened_at TEXT NOT NULL, price TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, strategy, symbol, opened_at)
    ) WITHOUT ROWID;
CREATE TABLE acknowledged (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, symbol TEXT NOT NULL,
        quantity TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID;
CREATE TRIGGER book_added AFTER INSERT ON book BEGIN UPDATE book SET row_sum = row_sum('book', CAST(NEW.account AS BLOB), CAST(NEW.created_at AS BLOB), CAST(NEW.opening_cash AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.journal_sequence AS BLOB), CAST(NEW.journal_hash AS BLOB), CAST(NEW.rebuilt AS BLOB), CAST(NEW.rows AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER book_changed AFTER UPDATE OF account, created_at, opening_cash, opened_at, journal_sequence, journal_hash, rebuilt, rows, schema ON book BEGIN UPDATE book SET row_sum = row_sum('book', CAST(NEW.account AS BLOB), CAST(NEW.created_at AS BLOB), CAST(NEW.opening_cash AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.journal_sequence AS BLOB), CAST(NEW.journal_hash AS BLOB), CAST(NEW.rebuilt AS BLOB), CAST(NEW.rows AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER intents_added AFTER INSERT ON intents BEGIN UPDATE intents SET row_sum = row_sum('intents', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.client_order_id AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.intent AS BLOB), CAST(NEW.verdicts AS BLOB), CAST(NEW.code AS BLOB), CAST(NEW.message AS BLOB), CAST(NEW.updated_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER intents_changed AFTER UPDATE OF account, sequence, client_order_id, session, state, intent, verdicts, code, message, updated_at, schema ON intents BEGIN UPDATE intents SET row_sum = row_sum('intents', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.client_order_id AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.intent AS BLOB), CAST(NEW.verdicts AS BLOB), CAST(NEW.code AS BLOB), CAST(NEW.message AS BLOB), CAST(NEW.updated_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER orders_added AFTER INSERT ON orders BEGIN UPDATE orders SET row_sum = row_sum('orders', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.venue_id AS BLOB), CAST(NEW.terminal AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER orders_changed AFTER UPDATE OF account, sequence, venue_id, terminal, body, applied_at, schema ON orders BEGIN UPDATE orders SET row_sum = row_sum('orders', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.venue_id AS BLOB), CAST(NEW.terminal AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER fills_added AFTER INSERT ON fills BEGIN UPDATE fills SET row_sum = row_sum('fills', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.activity_id AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER fills_changed AFTER UPDATE OF account, sequence, activity_id, at, body, applied_at, schema ON fills BEGIN UPDATE fills SET row_sum = row_sum('fills', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.activity_id AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.body AS BLOB), CAST(NEW.applied_at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER cash_adjustments_added AFTER INSERT ON cash_adjustments BEGIN UPDATE cash_adjustments SET row_sum = row_sum('cash_adjustments', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.amount AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER cash_adjustments_changed AFTER UPDATE OF account, sequence, amount, why, at, schema ON cash_adjustments BEGIN UPDATE cash_adjustments SET row_sum = row_sum('cash_adjustments', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.amount AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER trading_states_added AFTER INSERT ON trading_states BEGIN UPDATE trading_states SET row_sum = row_sum('trading_states', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER trading_states_changed AFTER UPDATE OF account, sequence, state, who, why, at, schema ON trading_states BEGIN UPDATE trading_states SET row_sum = row_sum('trading_states', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.state AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER armings_added AFTER INSERT ON armings BEGIN UPDATE armings SET row_sum = row_sum('armings', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.sessions AS BLOB), CAST(NEW.first AS BLOB), CAST(NEW.last AS BLOB), CAST(NEW.until AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER armings_changed AFTER UPDATE OF account, sequence, sessions, first, last, until, who, at, schema ON armings BEGIN UPDATE armings SET row_sum = row_sum('armings', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.sessions AS BLOB), CAST(NEW.first AS BLOB), CAST(NEW.last AS BLOB), CAST(NEW.until AS BLOB), CAST(NEW.who AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
CREATE TRIGGER slots_added AFTER INSERT ON slots BEGIN UPDATE slots SET row_sum = row_sum('slots', CAST(NEW.account AS BLOB), CAST(NEW.job AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.slot AS BLOB), CAST(NEW.holder AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND job = NEW.job AND session = NEW.session AND slot = NEW.slot; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER slots_changed AFTER UPDATE OF account, job, session, slot, holder, at, schema ON slots BEGIN UPDATE slots SET row_sum = row_sum('slots', CAST(NEW.account AS BLOB), CAST(NEW.job AS BLOB), CAST(NEW.session AS BLOB), CAST(NEW.slot AS BLOB), CAST(NEW.holder AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND job = NEW.job AND session = NEW.session AND slot = NEW.slot; END;
CREATE TRIGGER sessions_added AFTER INSERT ON sessions BEGIN UPDATE sessions SET row_sum = row_sum('sessions', CAST(NEW.account AS BLOB), CAST(NEW.date AS BLOB), CAST(NEW.open AS BLOB), CAST(NEW.close AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND date = NEW.date; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER sessions_changed AFTER UPDATE OF account, date, open, close, schema ON sessions BEGIN UPDATE sessions SET row_sum = row_sum('sessions', CAST(NEW.account AS BLOB), CAST(NEW.date AS BLOB), CAST(NEW.open AS BLOB), CAST(NEW.close AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND date = NEW.date; END;
CREATE TRIGGER last_reconcile_added AFTER INSERT ON last_reconcile BEGIN UPDATE last_reconcile SET row_sum = row_sum('last_reconcile', CAST(NEW.account AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.blocking AS BLOB), CAST(NEW.findings AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER last_reconcile_changed AFTER UPDATE OF account, at, blocking, findings, schema ON last_reconcile BEGIN UPDATE last_reconcile SET row_sum = row_sum('last_reconcile', CAST(NEW.account AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.blocking AS BLOB), CAST(NEW.findings AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account; END;
CREATE TRIGGER high_water_added AFTER INSERT ON high_water BEGIN UPDATE high_water SET row_sum = row_sum('high_water', CAST(NEW.account AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.price AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND strategy = NEW.strategy AND symbol = NEW.symbol AND opened_at = NEW.opened_at; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER high_water_changed AFTER UPDATE OF account, strategy, symbol, opened_at, price, schema ON high_water BEGIN UPDATE high_water SET row_sum = row_sum('high_water', CAST(NEW.account AS BLOB), CAST(NEW.strategy AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.opened_at AS BLOB), CAST(NEW.price AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND strategy = NEW.strategy AND symbol = NEW.symbol AND opened_at = NEW.opened_at; END;
CREATE TRIGGER acknowledged_added AFTER INSERT ON acknowledged BEGIN UPDATE acknowledged SET row_sum = row_sum('acknowledged', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.quantity AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; UPDATE book SET rows = rows + 1; END;
CREATE TRIGGER acknowledged_changed AFTER UPDATE OF account, sequence, symbol, quantity, why, at, schema ON acknowledged BEGIN UPDATE acknowledged SET row_sum = row_sum('acknowledged', CAST(NEW.account AS BLOB), CAST(NEW.sequence AS BLOB), CAST(NEW.symbol AS BLOB), CAST(NEW.quantity AS BLOB), CAST(NEW.why AS BLOB), CAST(NEW.at AS BLOB), CAST(NEW.schema AS BLOB)) WHERE account = NEW.account AND sequence = NEW.sequence; END;
PRAGMA application_id = 1413631025;
PRAGMA user_version = 2;
