"""The first two levels of the tool tree: 17 domains, their applications, and what each application keeps.

The third level, tools, grows from these by `agents/tools/evolve.py`. One line an application: `name: kind, kind, …`.
A field is `name:type`, where the type is one of name, text, int, money, date, or enum values joined by `|`.
"""

DOMAINS: dict[str, str] = {
    "travel": """airline: seat reservation, boarding pass, baggage claim, flight leg, crew roster, lounge visit
rail: train ticket, platform slot, season pass, sleeper berth, luggage locker, track permit
hotel: room booking, minibar bill, spa session, wake-up call, banquet hall, housekeeping round
car_rental: rental contract, fleet vehicle, damage report, toll charge, child seat, pickup desk
cruise: cabin assignment, shore excursion, dining seating, muster drill, deck chair, casino credit
tours: guided tour, tour guide, museum slot, hiking route, travel voucher, group roster
visa: visa application, consulate appointment, travel document, sponsor letter, border crossing, residence permit
agency: itinerary, travel insurance, fare quote, client dossier, refund case, partner hotel""",
    "finance": """bank: checking account, wire transfer, standing order, debit card, branch visit, overdraft line
brokerage: equity order, option position, dividend payout, margin call, watch list, trade ticket
lending: mortgage file, loan instalment, credit check, collateral item, guarantor, arrears notice
insurance: car policy, damage claim, premium invoice, risk survey, broker mandate, payout order
tax: tax return, deduction receipt, audit letter, withholding slip, payment plan, tax residence
accounting: ledger entry, vendor bill, cost centre, journal batch, fixed asset, expense report
payments: card payment, payout batch, chargeback, merchant account, payment link, settlement run
crypto: wallet address, token swap, staking pool, mining payout, exchange order, custody vault""",
    "health": """clinic: patient visit, vaccination, referral letter, waiting room slot, consent form, sick note
hospital: bed assignment, surgery slot, ward round, blood unit, discharge plan, visitor badge
pharmacy: prescription, drug package, refill request, allergy alert, compounding order, night duty
laboratory: blood sample, test panel, culture plate, analyser run, result sheet, courier pouch
dental: dental filling, braces plan, hygiene session, x-ray image, crown order, denture repair
fitness: training plan, gym locker, heart rate log, class booking, coach session, body scan
care_home: resident file, meal plan, care shift, fall report, family visit, wheelchair
veterinary: pet record, rabies shot, kennel stay, microchip, grooming slot, animal transport""",
    "retail": """web_shop: shopping cart, customer order, product review, gift card, return parcel, wish list
grocery: shelf label, fresh batch, loyalty card, checkout lane, weekly offer, deposit bottle
fashion: garment style, size chart, fitting session, runway sample, fabric roll, season drop
marketplace: seller listing, auction bid, buyer dispute, storefront, promoted ad, delivery promise
electronics: device model, repair ticket, warranty card, trade-in offer, demo unit, firmware key
bookshop: book title, reading event, publisher order, used copy, subscription box, author signing
furniture: sofa model, assembly visit, showroom tour, fabric swatch, delivery crate, kitchen plan
wholesale: pallet order, price tier, dealer contract, stock transfer, sample case, credit limit""",
    "software": """issue_tracker: bug ticket, sprint board, feature request, release note, milestone, code owner
source_host: pull request, branch rule, commit status, repository fork, deploy key, wiki page
cloud: virtual machine, storage bucket, load balancer, dns record, firewall rule, snapshot image
monitoring: alert rule, incident page, dashboard panel, on-call shift, log query, uptime check
database: table schema, query plan, replica set, backup job, index build, access role
continuous_integration: build job, test report, artifact bundle, runner pool, pipeline secret, cache entry
security: vulnerability, access token, audit event, phishing report, key rotation, penetration test
analytics: event stream, funnel chart, cohort table, ab test, data export, tracking plan""",
    "education": """school: class roster, exam sheet, homework task, parent meeting, school trip, detention note
university: lecture course, thesis topic, seminar seat, grant proposal, campus card, exam appeal
library: book loan, reading room, interlibrary request, late fee, archive box, study carrel
online_course: video lesson, quiz attempt, course badge, forum thread, live session, peer review
language: vocabulary deck, tandem partner, placement test, pronunciation clip, grammar drill, study streak
kindergarten: pickup note, nap schedule, craft project, allergy card, play group, outing list
research: lab notebook, field study, survey form, data set, ethics approval, conference poster
scholarship: scholarship file, donor fund, interview slot, recommendation letter, stipend payment, alumni profile""",
    "logistics": """parcel: parcel label, delivery route, pickup point, customs form, proof of delivery, missed stop
warehouse: storage bin, picking wave, forklift, inventory count, inbound dock, packing station
shipping: sea container, bill of lading, port call, vessel slot, reefer log, demurrage fee
trucking: truck load, driver log, fuel card, trailer, weigh station stop, freight quote
air_freight: air waybill, cargo hold, uld pallet, dangerous goods note, handling agent, transit check
courier: bike courier, express job, signature slip, insulated bag, zone price, return trip
supply: purchase order, supplier audit, forecast line, safety stock, quality hold, lead time
fleet: service interval, tyre set, telematics unit, charging session, accident file, parking permit""",
    "food": """restaurant: table booking, kitchen order, menu item, wine bottle, staff shift, guest complaint
delivery: meal delivery, courier tip, restaurant partner, promo code, late order, delivery zone
catering: event menu, buffet station, hired waiter, linen set, tasting session, chafing dish
bakery: bread batch, cake order, sourdough starter, oven cycle, flour sack, display tray
cafe: coffee order, bean roast, milk stock, barista shift, stamp card, pastry tray
farm: harvest lot, irrigation run, livestock tag, seed order, tractor hour, pasture rotation
brewery: brew batch, fermentation tank, keg, hop delivery, tap list, tasting flight
nutrition: meal diary, calorie target, recipe card, diet plan, supplement dose, weigh-in""",
    "home": """smart_home: lamp, thermostat, door lock, motion sensor, window blind, robot vacuum
energy: power meter, solar panel, battery pack, tariff plan, outage report, heat pump
property: rental listing, lease contract, viewing appointment, maintenance job, key handover, utility bill
construction: building permit, site inspection, concrete pour, scaffold, blueprint sheet, change order
cleaning: cleaning visit, window round, laundry basket, supply order, stain report, key code
garden: flower bed, lawn round, sprinkler, tree survey, compost bin, greenhouse
moving: moving van, packing list, storage unit, moving crew, fragile box, parking ban
security_firm: alarm zone, camera feed, patrol round, visitor pass, intrusion event, guard post""",
    "media": """music: song track, playlist, concert date, royalty statement, album cover, tour bus
film: film scene, casting call, shooting day, stunt permit, edit cut, premiere seat
news: news article, press photo, correction note, editor shift, reader letter, breaking alert
podcast: podcast episode, guest slot, ad read, transcript, listener question, studio hour
video: video upload, channel page, caption file, live stream, copyright strike, thumbnail
games: game match, player profile, loot item, guild, leaderboard entry, bug bounty
social: photo post, friend request, group page, story reel, moderation case, sponsored post
publishing: manuscript, print run, translation deal, isbn record, book fair stand, proof page""",
    "government": """city_hall: residence registration, parking fine, marriage date, dog licence, noise complaint, market stall
police: incident report, lost item, patrol car, witness statement, speed check, evidence bag
courts: court hearing, legal motion, jury summons, case file, bail bond, expert witness
elections: polling station, ballot order, voter entry, candidate list, absentee vote, recount request
social_service: benefit claim, housing request, case worker visit, food voucher, child allowance, job seeker file
parks: park ranger shift, camping permit, trail closure, playground check, tree planting, boat mooring
transport_office: driving licence, vehicle title, road test, plate number, bus line, roadwork notice
customs: import declaration, duty payment, seized goods, transit seal, tariff code, bonded store""",
    "human_resources": """recruiting: job opening, candidate profile, interview round, offer letter, talent pool, referral bonus
payroll: payslip, bonus payment, overtime entry, pension share, salary band, bank change
leave: vacation request, sick leave, parental leave, public holiday, leave balance, unpaid day
training_office: safety course, certificate, training budget, mentor pair, skill matrix, onboarding plan
performance: review cycle, goal sheet, feedback note, promotion case, calibration session, warning letter
workplace: desk booking, access badge, meeting room, office plant, relocation case, home office day
benefits: company car, lunch voucher, health check, stock grant, gym subsidy, childcare place
contractors: freelancer contract, time sheet, vendor badge, milestone invoice, nda file, rate card""",
    "science": """astronomy: telescope slot, star catalogue entry, exposure frame, meteor sighting, calibration lamp, dome log
chemistry: reagent bottle, reaction run, fume hood, waste drum, spectrum file, safety sheet
biology: cell culture, gene sample, microscope slide, field trap, species record, freezer box
physics: detector run, beam time, vacuum chamber, magnet coil, simulation job, data shift
geology: rock core, seismic line, borehole, mineral assay, map sheet, fossil find
weather: weather station, rain gauge, storm warning, balloon launch, forecast chart, ice report
ocean: buoy, research cruise, water sample, coral survey, tide table, whale sighting
archaeology: dig square, pottery shard, burial find, carbon date, site plan, museum loan""",
    "sports": """football: match fixture, player transfer, season ticket, referee report, training pitch, injury note
tennis: court hour, ladder match, racket stringing, umpire chair, wild card, ball machine
running: race entry, start wave, bib number, pace group, water station, finish time
swimming: swim lane, lifeguard shift, swim lesson, pool test, relay team, locker key
cycling: bike fit, stage race, team car, wheel set, power test, feed zone
climbing: climbing route, rope log, belay test, boulder set, gear check, summit register
skiing: lift pass, ski lesson, slope status, avalanche report, rental ski, snow gun
olympics: athlete file, medal record, doping test, venue pass, torch leg, village room""",
    "communication": """mail: mail draft, mailbox rule, contact card, newsletter, shared inbox, mail label
chat: chat channel, direct message, emoji pack, message thread, bot command, guest invite
calendar: calendar event, room invite, reminder, time zone note, shared calendar, event series
telephony: phone line, call record, voicemail, call queue, sim card, number port
video_call: video meeting, recording, breakout room, webinar, waiting room, virtual background
support: support ticket, canned reply, service level, customer survey, escalation, help article
translation: translation job, glossary term, proofreader, subtitle file, style guide, word quote
post: letter tracking, stamp issue, mail forwarding, post box, registered letter, parcel locker""",
    "manufacturing": """assembly: work order, assembly line, torque check, shift handover, tool crib, rework tag
machining: cnc program, cutting tool, fixture plate, coolant check, spindle hour, scrap bin
quality: inspection lot, gauge, defect report, control chart, supplier claim, calibration due
maintenance: machine fault, spare part, lubrication round, vibration test, shutdown plan, service crew
planning: production plan, bill of materials, capacity slot, kanban card, change notice, batch release
robotics: robot cell, gripper, motion path, safety fence, teach session, vision camera
textile: loom run, dye lot, yarn cone, pattern file, fabric test, sewing kit
printing: print job, ink tank, plate set, paper roll, colour proof, binding order""",
    "environment": """water: water well, leak report, pump station, quality sample, meter read, flood gate
waste: waste bin, recycling route, landfill cell, bulky pickup, compost batch, hazardous drop
forest: forest plot, logging permit, fire tower, seedling batch, wildlife camera, trail bridge
climate: emission report, carbon credit, heat map tile, climate grant, offset project, audit visit
air: air sensor, smog alert, filter change, odour complaint, stack test, pollen count
wildlife: animal tag, nest box, rescue case, poaching alert, feeding point, census walk
energy_grid: wind turbine, grid node, transformer, load forecast, switching order, meter swap
marine: fishing quota, beach clean-up, boat patrol, reef zone, net permit, turtle nest""",
}

FIELDS: dict[str, str] = {
    "travel": "status:open|confirmed|cancelled|closed, city:name, traveller:name, date:date, price:money, "
    "seats:int, class:economy|business|first, note:text, priority:low|normal|high",
    "finance": "status:pending|active|blocked|closed, owner:name, amount:money, due:date, currency:EUR|USD|JPY|NOK, "
    "risk:low|medium|high, instalments:int, branch:name, memo:text",
    "health": "status:planned|arrived|done|cancelled, patient:name, doctor:name, date:date, urgency:routine|urgent|acute, "
    "dose:int, ward:name, fee:money, remark:text",
    "retail": "status:new|paid|shipped|returned, customer:name, price:money, quantity:int, colour:red|blue|green|black, "
    "size:small|medium|large, date:date, shop:name, comment:text",
    "software": "status:open|running|failed|closed, owner:name, severity:low|medium|high|critical, created:date, "
    "retries:int, team:name, region:north|south|east|west, cost:money, summary:text",
    "education": "status:draft|open|graded|archived, student:name, teacher:name, date:date, points:int, "
    "level:beginner|middle|advanced, room:name, fee:money, remark:text",
    "logistics": "status:waiting|loaded|moving|delivered, driver:name, city:name, date:date, weight:int, "
    "priority:standard|express|night, cost:money, depot:name, note:text",
    "food": "status:ordered|cooking|ready|served, guest:name, price:money, portions:int, date:date, "
    "diet:none|vegetarian|vegan|halal, station:name, spice:mild|medium|hot, note:text",
    "home": "status:on|off|fault|standby, room:name, owner:name, level:int, date:date, mode:eco|comfort|away, cost:money, "
    "zone:north|south|east|west, note:text",
    "media": "status:draft|review|live|removed, author:name, date:date, views:int, genre:news|drama|comedy|science, "
    "fee:money, channel:name, rating:general|teen|adult, caption:text",
    "government": "status:filed|review|granted|refused, citizen:name, officer:name, date:date, fee:money, pages:int, "
    "district:north|south|east|west, urgency:normal|urgent, remark:text",
    "human_resources": "status:draft|submitted|approved|rejected, employee:name, manager:name, date:date, days:int, "
    "amount:money, grade:junior|senior|lead, office:name, comment:text",
    "science": "status:planned|running|done|discarded, scientist:name, date:date, samples:int, "
    "quality:poor|fair|good, site:name, budget:money, method:manual|automatic|remote, note:text",
    "sports": "status:open|full|played|cancelled, player:name, coach:name, date:date, score:int, "
    "category:youth|amateur|pro, venue:name, fee:money, remark:text",
    "communication": "status:draft|sent|read|archived, sender:name, recipient:name, date:date, size:int, "
    "priority:low|normal|high, folder:name, cost:money, subject:text",
    "manufacturing": "status:queued|running|stopped|done, operator:name, machine:name, date:date, pieces:int, "
    "grade:a|b|c, shift:early|late|night, cost:money, remark:text",
    "environment": "status:normal|warning|alarm|closed, warden:name, site:name, date:date, reading:int, "
    "zone:north|south|east|west, risk:low|medium|high, cost:money, note:text",
}
